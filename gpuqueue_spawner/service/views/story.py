"""One job's story from its event log: what happened, when, who did it, and how long nothing happened between.

Read by its owner and the GPU team: names and notes of admins are in it, other users never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Job, Node, State
from ..readers import Reader
from . import chips, events, life, words
from .frame import Frame, Site, frame
from .moments import DATE, Moment, Words, moment

if TYPE_CHECKING:
    from ...store import LoggedEvent

GAP = 600.0  #: seconds without an event that are printed as a gap
_DURING = {State.RUNNING: " of running", State.QUEUED: " of waiting", State.HELD: " on hold"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the log: an event, or a gap where nothing happened."""

    id: str
    gap: str = ""
    at: Moment | None = None
    icon: str = ""
    tone: str = ""
    words: Words = ()
    detail: Words = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class StoryView:
    """The page."""

    frame: Frame
    name: str
    number: int
    asked: Moment
    chip: chips.Chip
    figures: tuple[tuple[str, str], ...]
    life: life.Life
    count: str  #: "14 events, oldest first"
    lines: tuple[Line, ...]
    facts: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str, str], ...]  #: word, address, tone


def view(
    *,
    site: Site,
    reader: Reader,
    job: Job,
    log: Sequence[LoggedEvent],
    now: float,
    nodes: Sequence[Node] = (),
    warning: float = chips.ENDS_SOON,
) -> StoryView:
    """Prepare the page; `nodes` tell which number a GPU has."""
    name = words.title(job)
    index = events.numbers(nodes)
    return StoryView(
        frame=frame(f"The story of {name}", site=site, reader=reader, now=now, live=job.open),
        name=name,
        number=job.id,
        asked=moment(job.submitted, now=now, form=DATE),
        chip=chips.of_job(job, now=now, warning=warning),
        figures=_figures(job, now),
        life=life.of(log, until=job.ended or now, now=now),
        count=f"{words.count(len(log), 'event')}, oldest first",
        lines=tuple(_lines(log, job, reader, index, now)),
        facts=tuple(_facts(job, reader, index)),
        links=_links(job, reader, site),
    )


def _lines(log: Sequence[LoggedEvent], job: Job, reader: Reader, index: dict[str, int], now: float) -> list[Line]:
    lines: list[Line] = []
    for before, event in zip([None, *log], log, strict=False):
        if before is not None and event.at - before.at >= GAP:
            gap = f"{words.duration(event.at - before.at)}{_DURING.get(before.state, '')}"
            lines.append(Line(id=f"gap-{event.seq}", gap=gap))
        said = events.tell(event, job=job, reader=reader.name, index=index, now=now)
        lines.append(
            Line(
                id=f"event-{event.seq}",
                at=moment(event.at, now=now),
                icon=said.icon,
                tone=said.tone,
                words=said.words,
                detail=said.detail,
                note=said.note,
            )
        )
    return lines


def _figures(job: Job, now: float) -> tuple[tuple[str, str], ...]:
    until = job.ended or now
    waited = (job.admitted or until) - job.submitted
    figures = [("Waited", words.duration(waited))]
    if job.started is not None:
        ran = until - job.started
        figures.append(("Ran", words.duration(ran)))
        if job.resources.gpu_count:
            figures.append(("GPU time", f"{words.amount(round(ran * job.resources.gpu_count / 3600, 1))} GPU-hours"))
    if job.extended:
        figures.append(("Extended by", words.duration(job.extended)))
    return tuple(figures)


def _facts(job: Job, reader: Reader, index: dict[str, int]) -> list[tuple[str, str]]:
    facts = [("Creator", job.user)] if job.user != reader.name else []
    if job.profile:
        facts.append(("Profile", job.profile))
    facts.append(("GPUs", words.gpus(job.resources) or "none"))
    facts.append(("CPUs, memory", f"{words.amount(job.resources.cpus)}, {words.memory(job.resources.memory)}"))
    facts.append(("Runs for", words.duration(job.lease)))
    if job.placement:
        facts.append(("Server", events.place(job.placement.node, job.placement.devices, index, job.resources)))
    if job.state is State.ENDED:
        facts.append(("End", chips.end_words(job, reader=reader.name)))
    return facts


def _links(job: Job, reader: Reader, site: Site) -> tuple[tuple[str, str, str], ...]:
    if job.user != reader.name:
        return (("Queue admin", f"{site.service}admin", "quiet"),)
    if job.state is State.ENDED:
        return (("Start again", site.again(job), "jupyter"),)
    if job.state is State.RUNNING:
        return (("Open", site.server(job), "primary"),)
    return (("See the wait", site.wait(job), "quiet"),) if job.state is not State.STOPPING else ()

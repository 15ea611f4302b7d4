"""My jobs: cards for what runs and waits, a list of what ended, the room, the queue.

Knows records of all open jobs, but prints names of the reader's own only. Who acts on the forms: service/pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Job, Node, State
from ..readers import Reader
from . import cards, chips, line, queue, room, words
from .frame import Frame, Notice, Site, frame, unknown_notice
from .moments import Moment, moment

if TYPE_CHECKING:
    from ...scheduling import Wait


@dataclass(frozen=True, kw_only=True)
class EndedRow:
    """One of the reader's jobs that ended."""

    id: str
    name: str
    icon: str
    words: str  #: "Time was up"
    at: Moment
    used: str  #: "2 GPUs for 3 h"
    story_url: str
    again_url: str


@dataclass(frozen=True, kw_only=True)
class JobsView:
    """The page."""

    frame: Frame
    counts: str
    start_url: str  #: empty: every server the reader may have is in use
    cards: tuple[cards.Card, ...]
    ended: tuple[EndedRow, ...]
    ended_words: str
    room: room.Room
    queue: queue.Queue


def view(
    *,
    site: Site,
    reader: Reader,
    jobs: Sequence[Job],
    waits: Mapping[int, Wait],
    ended: Sequence[Job],
    nodes: Sequence[Node],
    rules: cards.Rules,
    now: float,
    moved: Mapping[int, float | None] | None = None,
    unknown: str = "",
    notices: tuple[Notice, ...] = (),
    ended_days: int = 7,
) -> JobsView:
    """Prepare the page.

    `jobs`: every open job of everybody. `ended`: the reader's own, newest first. `moved`: when the places last changed.
    """
    waiting = queue.waiting(jobs)
    own = [job for job in jobs if job.user == reader.name]
    shown = [
        cards.card(
            job,
            site=site,
            rules=rules,
            now=now,
            wait=waits.get(job.id),
            drawn=line.of(waiting, job) if job.waiting else None,
            others=sum(other.user != reader.name for other in waiting),
            moved=(moved or {}).get(job.id),
            unknown=bool(unknown),
        )
        for job in sorted(own, key=_order)
    ]
    counts = _counts(own)
    return JobsView(
        frame=frame(
            f"My jobs: {counts}",
            site=site,
            reader=reader,
            now=now,
            current="My jobs",
            notices=(*unknown_notice(unknown), *notices),
        ),
        counts=f"{counts}.",
        start_url=_start_url(site, reader, own),
        cards=tuple(shown),
        ended=tuple(_ended(job, site, now) for job in ended),
        ended_words=f"Ended in the last {words.count(ended_days, 'day')}",
        room=room.of(nodes, jobs, now=now, reader=reader.name, unknown=unknown),
        queue=queue.of(jobs, waits, now=now, reader=reader.name),
    )


def _order(job: Job) -> tuple[int, float, int]:
    """What runs first, by its end, then what waits, by its place; a card moves only when its state changes."""
    if job.waiting:
        return (1, job.queued, job.id)
    return (0, job.admitted or 0.0, job.id)


def _counts(own: Sequence[Job]) -> str:
    waiting = sum(job.waiting for job in own)
    running = sum(job.state in (State.RUNNING, State.RESTARTING) for job in own)
    starting = sum(job.state in (State.ADMITTED, State.STARTING) for job in own)
    stopping = sum(job.state is State.STOPPING for job in own)
    if not own:
        return "none running, none waiting".capitalize()
    parts = [(running, "running"), (starting, "starting"), (waiting, "waiting"), (stopping, "stopping")]
    return ", ".join(f"{n} {word}" for n, word in parts if n)


def _start_url(site: Site, reader: Reader, own: Sequence[Job]) -> str:
    if all(job.server for job in own):
        return f"{site.hub}spawn"  # the default server is not in use
    return f"{site.hub}home" if site.named_servers else ""


def _ended(job: Job, site: Site, now: float) -> EndedRow:
    chip = chips.of_end(job.end)
    ended = job.ended or now
    ran = f"{words.size(job.resources)} for {words.duration(ended - job.started)}" if job.started else "Never started"
    return EndedRow(
        id=f"ended-{job.id}",
        name=words.title(job),
        icon=chip.icon,
        words=chips.end_words(job, reader=job.user),
        at=moment(ended, now=now),
        used=ran,
        story_url=site.story(job),
        again_url=site.again(job),
    )

"""Queue admin: the whole queue with names, the servers, who holds what, who has what open, recent ends.

The only page with other people's names; nobody without `custom:gpuqueue:read` gets it. Forms are printed only for
those who may operate. Who acts on them: service/pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...model import Job, Node, State
from ..readers import Reader
from . import cards, chips, events, queue, room, standing, words
from .frame import Frame, Notice, Site, frame, unknown_notice
from .moments import Moment, moment

if TYPE_CHECKING:
    from ...scheduling import Wait

ENDED_SHOWN = 6  #: the rest is folded away: on a phone each one fills half a screen
SHOWN = 200  #: waiting jobs that are printed; acting on one further back is the API's


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One waiting job."""

    id: str
    number: int
    place: str
    name: str
    creator: str
    url: str
    size: str
    waits: str
    estimate: standing.Estimate
    chip: chips.Chip | None  #: only where it does not simply wait
    code: str  #: "Resources"
    why: standing.Why


@dataclass(frozen=True, kw_only=True)
class Server:
    """One node, with what may be done to it."""

    row: room.NodeRow
    do: cards.Action | None


@dataclass(frozen=True, kw_only=True)
class Holder:
    """One job that holds GPUs, or a share of a node."""

    id: str
    name: str
    creator: str
    url: str
    where: str
    since: Moment | None
    ends: Moment | None
    chip: chips.Chip
    stop: cards.Action | None


@dataclass(frozen=True, kw_only=True)
class Person:
    """One user with open jobs."""

    id: str
    name: str
    words: str  #: "2 hold 3 GPUs, 1 waits"
    remark: str  #: "may no longer log in"
    end: cards.Action | None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One job that ended."""

    id: str
    at: Moment
    name: str
    creator: str
    url: str
    chip: chips.Chip
    why: str
    waited: str
    ran: str


@dataclass(frozen=True, kw_only=True)
class AdminView:
    """The page."""

    frame: Frame
    operates: bool
    act_url: str  #: where the form over the waiting jobs posts to
    figures: tuple[tuple[str, str], ...]
    waiting: tuple[Waiting, ...]
    waiting_words: str
    room: room.Room
    servers: tuple[Server, ...]
    holders: tuple[Holder, ...]
    people: tuple[Person, ...]
    ended: tuple[Ended, ...]
    ended_before: tuple[Ended, ...]  #: folded away
    ended_words: str  #: how many those are


def view(
    *,
    site: Site,
    reader: Reader,
    jobs: Sequence[Job],
    waits: Mapping[int, Wait],
    ended: Sequence[Job],
    nodes: Sequence[Node],
    now: float,
    rules: cards.Rules | None = None,
    unknown: str = "",
    notices: tuple[Notice, ...] = (),
    remarks: Mapping[str, str] | None = None,
) -> AdminView:
    """Prepare the page. `ended`: everybody's, newest first. `remarks`: what is to be said of a user, by name."""
    line = queue.waiting(jobs)
    drawn = room.of(nodes, jobs, now=now, names=True, unknown=unknown)
    rules = rules or cards.Rules()
    return AdminView(
        frame=frame(
            f"Queue admin: {len(line)} waiting, {drawn.free} free",
            site=site,
            reader=reader,
            now=now,
            current="Queue admin",
            notices=(*unknown_notice(unknown), *notices),
        ),
        operates=reader.operates,
        act_url=f"{site.service}admin/jobs",
        figures=_figures(line, drawn, now),
        waiting=tuple(_waiting(job, n, waits.get(job.id), site, now) for n, job in enumerate(line[:SHOWN], 1)),
        waiting_words=_waiting_words(len(line)),
        room=drawn,
        servers=tuple(_server(row, site, reader) for row in drawn.nodes),
        holders=tuple(_holders(jobs, nodes, site, reader, rules, now)),
        people=tuple(_people(jobs, site, reader, remarks or {})),
        ended=tuple(_ended(job, site, now) for job in ended[:ENDED_SHOWN]),
        ended_before=tuple(_ended(job, site, now) for job in ended[ENDED_SHOWN:]),
        ended_words=f"{len(ended) - ENDED_SHOWN} more",
    )


def _figures(line: Sequence[Job], drawn: room.Room, now: float) -> tuple[tuple[str, str], ...]:
    several = len(drawn.counts) > 1

    def free(count: room.Count) -> str:
        return "unknown" if drawn.unknown else str(count.free)

    foreign = sum(block.n for row in drawn.nodes for block in row.blocks if block.kind == "foreign")
    figures = [
        ("Waiting", words.count(len(line), "job")),
        ("Longest wait", words.duration(now - line[0].queued) if line else "none"),
        *((f"{each.name} in use", f"{each.in_use} of {each.total}") for each in drawn.counts),
        *((f"{each.name} free now" if several else "Free now", free(each)) for each in drawn.counts),
    ]
    if foreign:
        figures.append(("Used outside the queue", words.count(foreign, "GPU")))
    return tuple(figures)


def _waiting_words(n: int) -> str:
    if not n:
        return "Nobody waits."
    all_of_them = f"{words.count(n, 'job')} in the order of the queue"
    return all_of_them if n <= SHOWN else f"The first {SHOWN} of {all_of_them}"


def _waiting(job: Job, place: int, wait: Wait | None, site: Site, now: float) -> Waiting:
    why = standing.why(job, wait)
    held = job.state is State.HELD
    return Waiting(
        id=f"waiting-{job.id}",
        number=job.id,
        place=f"{wait.place if wait else place:,}.",
        name=words.title(job),
        creator=job.user,
        url=site.story(job),
        size=f"{words.size(job.resources)}, {words.duration(job.lease)}",
        waits=words.duration(now - job.queued),
        estimate=standing.estimate(wait, now=now),
        chip=chips.of_job(job, now=now) if held else None,
        code=str(wait.reason.code).replace("-", " ").capitalize() if wait and not held else "",
        why=standing.Why(lead=_held_by(job), proof=f"“{job.message}”" if job.message else "") if held else why,
    )


def _held_by(job: Job) -> str:
    return f"Held by {job.by}." if job.by else "Held."


def _server(row: room.NodeRow, site: Site, reader: Reader) -> Server:
    do = None
    if not row.first:
        return Server(row=row, do=None)
    if reader.administers and row.drained:
        url = site.act_on_node(row.node, "undrain")
        do = cards.Action(word="Take back", tone="quiet", url=url)
    elif reader.administers:
        do = cards.Action(
            word="Drain",
            tone="quiet",
            url=site.act_on_node(row.node, "drain"),
            ask=f"Drain {row.node}?",
            lost="It keeps its jobs and takes no new one; those who wait may wait longer.",
            yes="Yes, drain it",
        )
    return Server(row=row, do=do)


def _holders(
    jobs: Sequence[Job], nodes: Sequence[Node], site: Site, reader: Reader, rules: cards.Rules, now: float
) -> list[Holder]:
    index = events.numbers(nodes)
    holding = sorted((job for job in jobs if job.holding), key=lambda job: (job.admitted or 0.0, job.id))
    others = sum(job.waiting for job in jobs)
    return [_holder(job, index, others, site, reader, rules, now) for job in holding]


def _holder(
    job: Job, index: Mapping[str, int], others: int, site: Site, reader: Reader, rules: cards.Rules, now: float
) -> Holder:
    stop = cards.stop(job, site, others) if reader.operates and job.state is not State.STOPPING else None
    return Holder(
        id=f"holder-{job.id}",
        name=words.title(job),
        creator=job.user,
        url=site.story(job),
        where=events.place(job.placement.node, job.placement.devices, index, job.resources) if job.placement else "",
        since=moment(job.admitted, now=now) if job.admitted else None,
        ends=moment(job.ends, now=now) if job.ends else None,
        chip=chips.of_job(job, now=now, warning=rules.warning),
        stop=replace(stop, lost=stop.lost.replace("You give back its", "It gives back its")) if stop else None,
    )


def _people(jobs: Sequence[Job], site: Site, reader: Reader, remarks: Mapping[str, str]) -> list[Person]:
    people = []
    for user in sorted({job.user for job in jobs}):
        own = [job for job in jobs if job.user == user]
        holding, waiting = [job for job in own if job.holding], [job for job in own if job.waiting]
        gpus = words.gpus_together(job.resources for job in holding) or words.count(0, "GPU")
        held = f"{words.count(len(holding), 'job holds', 'jobs hold')} {gpus}" if holding else ""
        waits = words.count(len(waiting), "job waits", "jobs wait") if waiting else ""
        lost = f"{words.count(len(own), 'job ends', 'jobs end')}; what is not saved there is lost."
        end = cards.Action(
            word="End all",
            tone="stop",
            url=site.act_on_user(user, "end"),
            ask=f"End all jobs of {user}?",
            lost=f"{lost} Places in the queue are given up.",
            yes="Yes, end them",
        )
        people.append(
            Person(
                id=f"person-{user}",
                name=user,
                words=", ".join(filter(None, [held, waits])),
                remark=remarks.get(user, ""),
                end=end if reader.administers else None,
            )
        )
    return people


def _ended(job: Job, site: Site, now: float) -> Ended:
    ended = job.ended or now
    by = words.by(job.by, owner=job.user) if job.by else ""
    return Ended(
        id=f"ended-{job.id}",
        at=moment(ended, now=now),
        name=words.title(job),
        creator=job.user,
        url=site.story(job),
        chip=chips.of_end(job.end),
        why=", ".join(filter(None, [by, job.message])),
        waited=words.duration((job.admitted or ended) - job.submitted),
        ran=words.duration(ended - job.started) if job.started else "not started",
    )

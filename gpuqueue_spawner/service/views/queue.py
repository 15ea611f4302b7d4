"""The whole queue as a table for everybody: places, sizes, starts and reasons, without other people's names.

Knows records. The queue with names is on the admin page: admin.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Job
from . import standing, words
from .moments import Moment, moment

if TYPE_CHECKING:
    from ...scheduling import Wait

SHOWN = 12  #: rows from the head that are printed; own jobs further back are printed too


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """One waiting job, or the number of jobs that are not printed."""

    id: str
    place: str  #: "3rd", or "12 more" for a gap
    gap: bool = False
    mine: str = ""  #: the name of the reader's own job; empty for others
    size: str = ""
    since: Moment | None = None
    estimate: standing.Estimate | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The queue."""

    words: str  #: "7 jobs wait. Names are not shown; your own job is marked."
    rows: tuple[QueueRow, ...]


def waiting(jobs: Sequence[Job]) -> list[Job]:
    """Those that wait, in the order of their places."""
    return sorted((job for job in jobs if job.waiting), key=lambda job: (job.queued, job.id))


def of(jobs: Sequence[Job], waits: Mapping[int, Wait], *, now: float, reader: str) -> Queue:
    """Print the queue for one reader."""
    line = waiting(jobs)
    rows: list[QueueRow] = []
    skipped = 0
    for at, job in enumerate(line):
        if at >= SHOWN and job.user != reader:
            skipped += 1
            continue
        rows.extend(_gap(skipped, at))
        skipped = 0
        rows.append(_row(job, waits.get(job.id), at + 1, now, reader))
    rows.extend(_gap(skipped, len(line)))
    own = sum(job.user == reader for job in line)
    return Queue(words=_words(len(line), own), rows=tuple(rows))


def _words(n: int, own: int) -> str:
    if not n:
        return "Nobody waits."
    marked = {0: "", 1: "; your own job is marked"}.get(own, "; your own jobs are marked")
    return f"{words.count(n, 'job waits', 'jobs wait')}. Names are not shown{marked}."


def _gap(skipped: int, at: int) -> list[QueueRow]:
    return [QueueRow(id=f"queue-gap-{at}", place=f"{skipped:,} more", gap=True)] if skipped else []


def _row(job: Job, wait: Wait | None, place: int, now: float, reader: str) -> QueueRow:
    mine = job.user == reader
    return QueueRow(
        id=f"queue-{job.id}" if mine else f"queue-at-{place}",
        place=words.ordinal(wait.place if wait else place),
        mine=words.title(job) if mine else "",
        size=f"{words.size(job.resources)}, {words.duration(job.lease)}",
        since=moment(job.queued, now=now),
        estimate=standing.estimate(wait, now=now),
        why=standing.why(job, wait).lead if mine else standing.why_for_others(wait),
    )

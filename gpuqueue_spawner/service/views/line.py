"""The line as a drawing: one little stack of cells for each job, as many cells as it wants GPUs.

Knows sizes and places, no names. The waiting page draws the same in the browser (static/gpuqueue-line.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...model import Job
from . import words

LONGEST = 12  #: stacks that are drawn, around the reader's own
TALLEST = 16  #: cells of one stack that are drawn
_CELL, _PITCH = 10, 12


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One job in the line, or the number of jobs that are not drawn."""

    kind: str  #: ahead, me, behind, gap
    label: str  #: under the stack: "4", "You"; of a gap: "… 12 more"
    words: str  #: for those who do not see it: "4 GPUs"
    width: int = 0  #: of the drawing
    cells: tuple[tuple[int, int], ...] = ()  #: left upper corners, from the bottom left


@dataclass(frozen=True, kw_only=True)
class Line:
    """The line with one job marked."""

    stacks: tuple[Stack, ...]
    words: str  #: "Numbers are GPUs. 2 jobs are ahead of you, 4 behind."


def of(queue: Sequence[Job], me: Job) -> Line:
    """Draw the waiting jobs, in their order, around `me`."""
    place = [job.id for job in queue].index(me.id)
    first = max(0, min(place - LONGEST // 2, len(queue) - LONGEST))
    drawn = queue[first : first + LONGEST]
    stacks = [
        *_more(first),
        *(_stack(job, _kind(first + at, place)) for at, job in enumerate(drawn)),
        *_more(len(queue) - first - len(drawn)),
    ]
    return Line(stacks=tuple(stacks), words=_around(place, len(queue) - place - 1))


def _kind(at: int, place: int) -> str:
    if at == place:
        return "me"
    return "ahead" if at < place else "behind"


def _around(ahead: int, behind: int) -> str:
    if not ahead and not behind:
        return "Nobody else waits."
    if not ahead:
        return f"You are first, {words.count(behind, 'job')} behind you."
    return f"Numbers are GPUs. {words.count(ahead, 'job is', 'jobs are')} ahead of you, {behind or 'none'} behind."


def _more(n: int) -> list[Stack]:
    return [Stack(kind="gap", label=f"… {n:,} more", words=f"{words.count(n, 'job')} more")] if n else []


def _stack(job: Job, kind: str) -> Stack:
    gpus = job.resources.gpu_count
    cells = tuple((2 + _PITCH * (n // 2), 14 - _PITCH * (n % 2)) for n in range(min(gpus, TALLEST)))
    size = words.size(job.resources)
    return Stack(
        kind=kind,
        label="You" if kind == "me" else str(gpus),
        words=f", {size}" if kind == "me" else size,
        width=cells[-1][0] + _CELL + 2 if cells else 26,
        cells=cells,
    )

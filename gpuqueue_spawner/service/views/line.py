"""The line as a drawing: one little stack of cells for each job, as many cells as it wants GPUs.

Knows sizes and places, no names. The waiting page draws the same in the browser (static/gpuqueue-line.js).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...model import Job
from . import words

LONGEST = 10  #: stacks that are drawn; what is between is a number
TALLEST = 16  #: cells of one stack that are drawn
_CELL, _PITCH = 10, 12


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One job in the line, or the number of jobs that are not drawn."""

    kind: str  #: ahead, me, behind, gap
    label: str  #: under the stack: "4", "You", "12 more"
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
    drawn = shown(len(queue), place)
    stacks = [
        _gap(step) if isinstance(step, range) else _stack(queue[step], "ahead" if step < place else "behind")
        for step in drawn
        if step != place
    ]
    stacks.insert(drawn.index(place), _stack(me, "me"))
    ahead, behind = place, len(queue) - place - 1
    return Line(stacks=tuple(stacks), words=f"Numbers are GPUs. {_around(ahead, behind)}")


def shown(length: int, place: int) -> list[int | range]:
    """Choose what to draw: the head, my surroundings, and ranges that only count."""
    if length <= LONGEST:
        return list(range(length))
    keep = sorted({0, 1, *range(max(0, place - 2), min(length, place + 3))})
    drawn: list[int | range] = []
    for left, right in zip([-1, *keep], [*keep, length], strict=True):
        if right - left == 2:
            drawn.append(left + 1)  # "1 more" is no shorter than the job itself
        elif right - left > 2:
            drawn.append(range(left + 1, right))
        if right < length:
            drawn.append(right)
    return drawn


def _around(ahead: int, behind: int) -> str:
    if not ahead and not behind:
        return "Nobody else waits."
    if not ahead:
        return f"You are first, {words.count(behind, 'job')} behind you."
    return f"{words.count(ahead, 'job is', 'jobs are')} ahead of you, {behind or 'none'} behind."


def _gap(rest: range) -> Stack:
    return Stack(kind="gap", label=f"… {len(rest)} more", words=f"{words.count(len(rest), 'job')} more")


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

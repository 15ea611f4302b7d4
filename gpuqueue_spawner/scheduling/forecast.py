"""When those that wait would start, if every job ran until the end of its lease.

One run forward gives all the starts: each job starts once and ends once. Early stops make a start earlier. Knows a
course; what is said of a start: planner.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from .course import Course
from .line import Waiter


def starts(course: Course) -> dict[int, float]:
    """Run until nobody waits or nothing moves: start by position, in Unix seconds; without those who never do."""
    found: dict[int, float] = {}
    while course.asking and course.advance():
        for start in course.start():
            found[start.waiter.position] = course.now
    return found


def starts_at_the_end(course: Course, newcomers: Sequence[Waiter]) -> dict[int, float]:
    """When each of some newcomers would start, alone at the end of the line: start by position.

    All are tried in one run: whoever stands at the end moves nobody ahead until it has started.
    """
    found: dict[int, float] = {}
    pending = [newcomer for newcomer in newcomers if newcomer.asks]
    while pending:
        course.start()
        if course.blocked is None:
            for newcomer in pending:
                excess = course.ledger.excess(newcomer.job.user, newcomer.need.gpu_count)
                if excess is None and course.room.find(newcomer.need, newcomer.pool) is not None:
                    found[newcomer.position] = course.now
            pending = [newcomer for newcomer in pending if newcomer.position not in found]
        if not course.advance():
            break
    return found

"""Which job starts where, now and later, and why each of the others waits.

Knows records and numbers, no clock, no database. The rules: order.py, limits.py, placement.py; strict order and time:
course.py. Who acts on a plan: manager/planning.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ..model import ANYWHERE, Constraints, Job, Reason, Resources, State
from . import forecast, reasons
from .course import Course
from .line import Waiter
from .snapshot import Admit, Choice, Plan, Snapshot, Trial, Wait


def plan(snapshot: Snapshot, *, now: float) -> Plan:
    """Decide on every waiting job."""
    course = Course(snapshot, now=now)
    admissions = _admissions(course)
    staying = _staying(course, admissions)
    why = list(_reasons(staying, course))  # before the forecast, which moves the course on
    starts = {} if course.unknown else forecast.starts(course)
    waits = (
        Wait(job=waiter.job.id, place=place, of=len(staying), reason=reason, start=starts.get(waiter.position))
        for place, (waiter, reason) in enumerate(zip(staying, why, strict=True), start=1)
    )
    return Plan(admissions=admissions, waits={wait.job: wait for wait in waits})


def trial(
    snapshot: Snapshot,
    *,
    user: str,
    resources: Resources,
    constraints: Constraints = ANYWHERE,
    lease: float,
    now: float,
) -> Trial:
    """Say what would happen to one more job of `user`."""
    choice = Choice(resources=resources, constraints=constraints, lease=lease)
    return trials(snapshot, user=user, choices=[choice], now=now)[0]


def trials(snapshot: Snapshot, *, user: str, choices: Sequence[Choice], now: float) -> tuple[Trial, ...]:
    """Say what would happen to one more job of `user`, for each of some choices, at the cost of one plan."""
    course = Course(snapshot, now=now)
    ahead = sum(_in_turn(waiter, course) for waiter in _staying(course, _admissions(course)))
    last = len(course.waiters)
    newcomers = [course.waiter(_newcomer(user, choice, now), position=last + n) for n, choice in enumerate(choices)]
    why = [None if _free(newcomer, course) else _reason(newcomer, course, ahead=ahead) for newcomer in newcomers]
    starts = {} if course.unknown else forecast.starts_at_the_end(course, newcomers)
    return tuple(
        Trial(start=_after(starts.get(newcomer.position), now) if reason else now, reason=reason)
        for newcomer, reason in zip(newcomers, why, strict=True)
    )


def _admissions(course: Course) -> tuple[Admit, ...]:
    if course.unknown:
        return ()
    return tuple(Admit(job=start.waiter.job.id, placement=start.placement) for start in course.start())


def _staying(course: Course, admissions: Iterable[Admit]) -> list[Waiter]:
    admitted = {admission.job for admission in admissions}
    return [waiter for waiter in course.waiters if waiter.job.id not in admitted]


def _reasons(staying: Iterable[Waiter], course: Course) -> Iterator[Reason]:
    ahead = 0
    for waiter in staying:
        yield _reason(waiter, course, ahead=ahead)
        ahead += _in_turn(waiter, course)


def _reason(waiter: Waiter, course: Course, *, ahead: int) -> Reason:
    """Why a job does not start now: the first that holds. `ahead` counts only those that keep it waiting."""
    job, need = waiter.job, waiter.need
    if job.state is State.HELD:
        return reasons.hold(job.message)
    if waiter.impossible is not None:
        return waiter.impossible
    if (excess := course.ledger.excess(job.user, need.gpu_count)) is not None:
        return reasons.own_limit(excess)
    if course.unknown:
        return reasons.capacity_unknown(course.unknown)
    if ahead:
        return reasons.order(ahead)
    if job.not_before > course.now:
        return reasons.not_before(job.message)
    return reasons.resources(need, course.room.servers, waiter.pool)


def _in_turn(waiter: Waiter, course: Course) -> bool:
    """Whether nothing of its own keeps it from starting, so that it keeps those behind it waiting."""
    job = waiter.job
    return (
        waiter.asks and job.not_before <= course.now and course.ledger.excess(job.user, waiter.need.gpu_count) is None
    )


def _free(waiter: Waiter, course: Course) -> bool:
    """Whether one more job would be admitted at once."""
    return (
        not course.unknown
        and course.blocked is None
        and _in_turn(waiter, course)
        and course.room.find(waiter.need, waiter.pool) is not None
    )


def _newcomer(user: str, choice: Choice, now: float) -> Job:
    return Job(
        user=user,
        server="",
        request="",
        resources=choice.resources,
        constraints=choice.constraints,
        lease=choice.lease,
        id=0,
        key="",
        state=State.QUEUED,
        version=0,
        submitted=now,
        queued=now,
    )


def _after(start: float | None, now: float) -> float | None:
    """Keep a wait for a lease that is over, and whose notebook is still there, apart from "free now"."""
    return None if start is None else max(start, math.nextafter(now, math.inf))

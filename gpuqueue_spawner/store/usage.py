"""What remains of jobs that were forgotten: sums by day and user.

Knows the table of sums and how a job's story adds up. When a job is forgotten: `Jobs.expire` in jobs.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from itertools import pairwise

from sqlalchemy import Connection, insert, select

from gpuqueue_spawner.model import Job, State
from gpuqueue_spawner.model.states import HOLDING, WAITING

from .database import Database
from .tables import by_field, usage_days

Line = tuple[int, State, float]  #: of a story: job, its state from then on, Unix seconds


@dataclass(frozen=True, kw_only=True)
class UsageDay:
    """What the jobs of one user that ended on one day add up to."""

    day: date  #: of the end, in UTC
    user: str
    jobs: int = 0
    waited: float = 0.0  #: seconds in the queue, held back included
    run: float = 0.0  #: seconds between ready and told to stop
    gpu_seconds: float = 0.0  #: GPUs times the seconds they were held, whatever for


class Usage:
    """The sums."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def days(self, *, since: date) -> tuple[UsageDay, ...]:
        """The sums from `since` on, by day and user."""
        c = usage_days.c
        with self._database.reading() as tx:
            rows = tx.execute(select(*by_field(usage_days)).where(c.day >= since).order_by(c.day, c.user)).mappings()
            return tuple(UsageDay(**row) for row in rows)


def add_up(tx: Connection, ended: Iterable[Job], lines: Iterable[Line]) -> None:
    """Add ended jobs, told by their `lines` in order, to the sums, in the transaction that forgets them."""
    stories: dict[int, list[tuple[State, float]]] = defaultdict(list)
    for job, state, at in lines:
        stories[job].append((state, at))

    sums: dict[tuple[date, str], UsageDay] = {}
    for one in (usage_of(job, stories[job.id]) for job in ended):
        so_far = sums.get((one.day, one.user))
        sums[one.day, one.user] = _plus(so_far, one) if so_far else one

    c = usage_days.c
    for one in sums.values():
        row = (
            tx.execute(select(*by_field(usage_days)).where(c.day == one.day, c.user == one.user))
            .mappings()
            .one_or_none()
        )
        if row is None:
            tx.execute(insert(usage_days).values(asdict(one)))
        else:
            total = asdict(_plus(UsageDay(**row), one))
            tx.execute(usage_days.update().where(c.day == one.day, c.user == one.user).values(total))


def usage_of(job: Job, story: Sequence[tuple[State, float]]) -> UsageDay:
    """Measure one ended job by its story: each state lasted until the next line; a clock set back counts as nothing."""
    assert job.ended is not None
    spent: dict[State, float] = defaultdict(float)
    for (state, at), (_, until) in pairwise(story):
        spent[state] += max(0.0, until - at)
    return UsageDay(
        day=datetime.fromtimestamp(job.ended, UTC).date(),
        user=job.user,
        jobs=1,
        waited=sum(spent[state] for state in WAITING),
        run=spent[State.RUNNING],
        gpu_seconds=job.resources.gpu_count * sum(spent[state] for state in HOLDING),
    )


def _plus(a: UsageDay, b: UsageDay) -> UsageDay:
    return replace(
        a,
        jobs=a.jobs + b.jobs,
        waited=a.waited + b.waited,
        run=a.run + b.run,
        gpu_seconds=a.gpu_seconds + b.gpu_seconds,
    )

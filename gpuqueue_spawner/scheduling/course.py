"""The queue as it moves from one moment to the next: who starts, who ends, whose turn it is then.

The first moment is now and gives the admissions; the moments after it give the forecast. Strict order: the first in
line that does not fit keeps all behind it waiting. Knows records and the times in them; asked by planner.py and
forecast.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from ..model import Job, Placement, State
from .amounts import Amount
from .limits import Ledger
from .line import Line, Waiter
from .occupancy import Occupancy
from .order import first_come
from .pools import Pools
from .reach import Reach
from .servers import Server
from .snapshot import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """What a job holds, until it ends."""

    user: str
    need: Amount
    placement: Placement | None  #: None: only its user's limits know it


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A job that starts."""

    waiter: Waiter
    placement: Placement


class Course:
    """Servers, limits and line at one moment."""

    def __init__(self, snapshot: Snapshot, *, now: float) -> None:
        self.now = now  #: Unix seconds
        self.unknown = snapshot.unknown
        self.room = Occupancy(snapshot.nodes)
        self.ledger = Ledger(snapshot.limits)
        self.pools = Pools(snapshot.nodes)
        self.reach = Reach(snapshot.nodes, snapshot.limits, self.pools, unknown=bool(snapshot.unknown))
        self.blocked: Waiter | None = None  #: whose turn it is, without room
        self.waiters = self._waiters(job for job in snapshot.jobs if job.waiting)
        self._ends: list[tuple[float, int, Hold]] = []  # heap; the number keeps records from being compared
        self._due: list[tuple[float, int]] = []  # heap: when the waiter at a position may start
        self._numbers = itertools.count()
        self._roomier: list[Server] = []  # servers that something came back to since the last round
        for job in snapshot.jobs:
            if job.holding:
                self._hold(job, _end(job, now))
        self._line = Line(self.waiters, self.ledger)
        self._line.join(w for w in self.waiters if w.asks and w.job.not_before <= now)
        for waiter in self.waiters:
            if waiter.asks and waiter.job.not_before > now:
                heappush(self._due, (waiter.job.not_before, waiter.position))

    def waiter(self, job: Job, *, position: int) -> Waiter:
        """A job as the line sees it."""
        need = Amount.of(job.resources)
        demand = job.constraints
        impossible = self.reach.refusal(need, demand)
        return Waiter(job=job, position=position, need=need, pool=self.pools.of(demand), impossible=impossible)

    @property
    def asking(self) -> int:
        """Jobs that may still start, now or later."""
        return len(self._line) + len(self._due)

    def start(self) -> list[Start]:
        """Let start whoever can at this moment, in order."""
        starts = []
        while (head := self._line.head()) is not None:
            # Where it did not fit before, only a server that something came back to can have room.
            if head is self.blocked and not any(_may_start(head, server) for server in self._roomier):
                break
            placement = self.room.find(head.need, head.pool, head.job.failed_on)
            if placement is None:
                break
            self._begin(head, placement)
            starts.append(Start(waiter=head, placement=placement))
        self.blocked = head
        self._roomier.clear()
        return starts

    def advance(self) -> bool:
        """Go to the next moment at which something ends or falls due; False: there is none."""
        moments = [*(end for end, _, _ in self._ends[:1]), *(due for due, _ in self._due[:1])]
        if not moments:
            return False
        self.now = min(moments)
        while self._ends and self._ends[0][0] <= self.now:
            self._finish(heappop(self._ends)[2])
        due = []
        while self._due and self._due[0][0] <= self.now:
            due.append(self.waiters[heappop(self._due)[1]])
        self._line.join(due)
        return True

    def _waiters(self, jobs: Iterable[Job]) -> tuple[Waiter, ...]:
        return tuple(self.waiter(job, position=n) for n, job in enumerate(sorted(jobs, key=first_come)))

    def _hold(self, job: Job, end: float) -> None:
        hold = Hold(user=job.user, need=Amount.of(job.resources), placement=job.placement)
        self.ledger.take(hold.user, hold.need.gpu_count)
        if hold.placement is not None:
            self.room.take(hold.need, hold.placement)
        heappush(self._ends, (end, next(self._numbers), hold))

    def _begin(self, waiter: Waiter, placement: Placement) -> None:
        job, need = waiter.job, waiter.need
        self.ledger.take(job.user, need.gpu_count)
        self.room.take(need, placement)
        self._line.leave(waiter)
        hold = Hold(user=job.user, need=need, placement=placement)
        heappush(self._ends, (self.now + job.lease, next(self._numbers), hold))

    def _finish(self, hold: Hold) -> None:
        self.ledger.give_back(hold.user, hold.need.gpu_count)
        self._line.look_again(hold.user)
        if hold.placement is not None:
            server = self.room.give_back(hold.need, hold.placement)
            if server is not None and not server.drained:
                self._roomier.append(server)


def _may_start(waiter: Waiter, server: Server) -> bool:
    return (waiter.pool is None or server.name in waiter.pool) and server.fits(waiter.need)


def _end(job: Job, now: float) -> float:
    """When a job that holds its placement gives it back, at the latest.

    One that is only going back to the queue, after a launch that failed, counts as if it went on: its old place is in
    front, so it gets its GPUs again or others of the same size.
    """
    if job.state is State.STOPPING and job.end is not None:
        return now
    return max(job.ends, now) if job.ends is not None else now + job.lease

"""The waiting line: whose turn it is, when jobs over a limit are passed over.

Knows order and limits. Whether the one whose turn it is fits anywhere: course.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from ..model import Job, Reason, State
from .amounts import Amount
from .limits import Ledger
from .pools import Pool


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A waiting job."""

    job: Job
    position: int  #: in the order of the queue, from 0
    need: Amount
    pool: Pool  #: where it may start
    impossible: Reason | None  #: why it can never start as it is

    @property
    def asks(self) -> bool:
        """Whether it wants to start at all: it is not on hold and not impossible."""
        return self.impossible is None and self.job.state is not State.HELD


class Line:
    """Those that may start.

    Each user has the jobs sorted by GPUs and then by position, so that whose turn it is costs a look at one job for
    each number of GPUs: also when thousands of jobs of a user wait behind a limit.
    """

    def __init__(self, waiters: Sequence[Waiter], ledger: Ledger) -> None:
        self._waiters = waiters
        self._ledger = ledger
        self._positions: dict[str, dict[int, list[int]]] = {}  # user, GPUs: heap of positions
        self._first: dict[str, int] = {}  # user: position of the job whose turn it is among the user's own
        self._turns: list[int] = []  # heap of positions; those that are not in _first any more are stale
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def join(self, waiters: Iterable[Waiter]) -> None:
        """Let them in, each at its position."""
        users: dict[str, None] = {}  # a set in the order of the line
        for waiter in waiters:
            heaps = self._positions.setdefault(waiter.job.user, {})
            heappush(heaps.setdefault(waiter.need.gpu_count, []), waiter.position)
            users[waiter.job.user] = None
            self._size += 1
        for user in users:
            self.look_again(user)

    def head(self) -> Waiter | None:
        """Whose turn it is; None: nobody's."""
        while self._turns:
            waiter = self._waiters[self._turns[0]]
            if self._first.get(waiter.job.user) == waiter.position:
                return waiter
            heappop(self._turns)
        return None

    def leave(self, waiter: Waiter) -> None:
        """Let the one go whose turn it was, after the ledger was told."""
        heaps = self._positions[waiter.job.user]
        heap = heaps[waiter.need.gpu_count]
        heappop(heap)
        if not heap:
            del heaps[waiter.need.gpu_count]
        self._size -= 1
        self.look_again(waiter.job.user)

    def look_again(self, user: str) -> None:
        """Find out whose turn it is among the jobs of `user`, after the ledger changed."""
        left = self._ledger.left(user)
        first = min((heap[0] for gpus, heap in self._positions.get(user, {}).items() if gpus <= left), default=None)
        if first is None:
            self._first.pop(user, None)
        elif first != self._first.get(user):
            self._first[user] = first
            heappush(self._turns, first)

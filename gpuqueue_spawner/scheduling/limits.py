"""What one user may hold at a time, and what each holds.

Knows counts. Who is passed over because of a limit: line.py. `queued_jobs` is kept where a request is accepted, in
manager/: a plan never throws a request out.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

GPUS_AT_ONCE = "GPUs at once"
JOBS_AT_ONCE = "jobs at once"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of each user; None: no limit."""

    queued_jobs: int | None = None
    running_jobs: int | None = None
    gpus: int | None = None


@dataclass(frozen=True, kw_only=True)
class Excess:
    """A limit that one more job would break."""

    limit: str  #: its name, as people read it
    used: int
    of: int
    wanted: int


class Ledger:
    """What each user holds."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._jobs: Counter[str] = Counter()
        self._gpus: Counter[str] = Counter()

    def take(self, user: str, gpus: int) -> None:
        """Note one more job."""
        self._jobs[user] += 1
        self._gpus[user] += gpus

    def give_back(self, user: str, gpus: int) -> None:
        """Note that a job has ended."""
        self._jobs[user] -= 1
        self._gpus[user] -= gpus

    def left(self, user: str) -> float:
        """GPUs that the next job of `user` may have; -1: there may be no next job, not even one without GPUs."""
        if self.limits.running_jobs is not None and self._jobs[user] >= self.limits.running_jobs:
            return -1
        return math.inf if self.limits.gpus is None else max(0, self.limits.gpus - self._gpus[user])

    def excess(self, user: str, gpus: int) -> Excess | None:
        """The limit that a job with so many GPUs would break."""
        if gpus <= self.left(user):
            return None
        if self.limits.gpus is not None and gpus > max(0, self.limits.gpus - self._gpus[user]):
            return Excess(limit=GPUS_AT_ONCE, used=self._gpus[user], of=self.limits.gpus, wanted=gpus)
        return Excess(limit=JOBS_AT_ONCE, used=self._jobs[user], of=self.limits.running_jobs or 0, wanted=1)

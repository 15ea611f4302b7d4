"""The queue in memory: every open job as the database last confirmed it, and what the last plan said of its wait.

Knows records. Who writes: manager.py, after the database said yes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

from ..model import Job
from ..scheduling import Wait, first_come

REMEMBER = 500


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a waiting job's owner may know of its place."""

    wait: Wait
    moved: float | None = None  #: Unix seconds, when the place last changed
    came_from: int | None = None  #: the place before


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What everybody in line may expect."""

    standings: Mapping[int, Standing]  #: by job; the same record as before where nothing changed
    line: tuple[int, ...]  #: GPUs of those that wait, by place

    @classmethod
    def of(
        cls, waits: Mapping[int, Wait], *, jobs: Iterable[Job], before: Mapping[int, Standing], now: float
    ) -> Outlook:
        """What a plan says of these jobs, in the order of its line, beside what was said before.

        Asked in the thread that planned: of thousands it takes a while.
        """
        gpus = {job.id: job.resources.gpu_count for job in jobs}
        return cls(
            standings={id: _stood(before.get(id), wait, now=now) for id, wait in waits.items()},
            line=tuple(gpus[id] for id in waits),
        )


def _stood(before: Standing | None, wait: Wait, *, now: float) -> Standing:
    if before is None:
        return Standing(wait=wait)
    if before.wait.place != wait.place:
        return Standing(wait=wait, moved=now, came_from=before.wait.place)
    return before if before.wait == wait else replace(before, wait=wait)


@dataclass(kw_only=True)
class Queue:
    """Open jobs by id, and the standing of those that wait."""

    jobs: dict[int, Job] = field(default_factory=dict)
    standings: dict[int, Standing] = field(default_factory=dict)
    line: tuple[int, ...] = ()  #: GPUs of those that wait, by place
    ended: dict[int, Job] = field(default_factory=dict)  #: what ended last, so that its readers need no database
    _ids: dict[str, int] = field(init=False)
    _users: dict[str, set[int]] = field(init=False)  # pages of thousands ask for their own
    _holding: set[int] = field(init=False)  # asked for often, and few beside thousands that wait
    _waiting: list[tuple[float, int]] = field(init=False)  # those that wait as first_come sorts them, ids last

    def __post_init__(self) -> None:
        self._ids = {job.key: job.id for job in self.jobs.values()}
        self._users = {}
        for job in self.jobs.values():
            self._users.setdefault(job.user, set()).add(job.id)
        self._holding = {job.id for job in self.jobs.values() if job.holding}
        self._waiting = sorted(first_come(job) for job in self.jobs.values() if job.waiting)

    def renewed(self, jobs: Iterable[Job]) -> Queue:
        """The same queue with what the store has open now."""
        now = {job.id: job for job in jobs}
        standings = {id: standing for id, standing in self.standings.items() if id in now and now[id].waiting}
        return Queue(jobs=now, standings=standings, line=self.line)

    def put(self, job: Job) -> None:
        """Take over a job as the database confirmed it."""
        self._line_up(self.jobs.get(job.id), job)
        self._ids[job.key] = job.id
        (self._holding.add if job.holding else self._holding.discard)(job.id)
        if job.open:
            self.jobs[job.id] = job
            self._users.setdefault(job.user, set()).add(job.id)
        else:
            self._leave(job)
            self.ended[job.id] = job
            if len(self.ended) > REMEMBER:
                del self._ids[self.ended.pop(min(self.ended)).key]
        if not job.waiting:
            self.standings.pop(job.id, None)

    def _line_up(self, before: Job | None, after: Job) -> None:
        if before is not None and before.waiting:
            del self._waiting[bisect_left(self._waiting, first_come(before))]
        if after.waiting:
            insort(self._waiting, first_come(after))

    def _leave(self, job: Job) -> None:
        if self.jobs.pop(job.id, None) is not None:
            self._users[job.user].discard(job.id)
            if not self._users[job.user]:
                del self._users[job.user]

    def of_user(self, user: str) -> tuple[Job, ...]:
        """The open jobs of one user, by id."""
        return tuple(self.jobs[id] for id in sorted(self._users.get(user, ())))

    def of_server(self, user: str, server: str) -> Job | None:
        """The open job of one server of one user."""
        return next((job for job in self.of_user(user) if job.server == server), None)

    def of_key(self, key: str) -> Job | None:
        """The job whose processes carry this key, open or ended lately."""
        id = self._ids.get(key, 0)
        return self.jobs.get(id) or self.ended.get(id)

    def but(self, keys: Set[str]) -> tuple[Job, ...]:
        """The open jobs other than those with these keys, by id."""
        others = (self._ids[key] for key in self._ids.keys() - keys)  # few of thousands
        return tuple(self.jobs[id] for id in sorted(others) if id in self.jobs)

    def holding(self) -> tuple[Job, ...]:
        """Jobs that hold GPUs or a share of a node, by id."""
        return tuple(self.jobs[id] for id in sorted(self._holding))

    def waiting(self) -> Iterator[Job]:
        """Jobs that wait, in the order of the queue; to be used up before anything moves."""
        return (self.jobs[id] for _, id in self._waiting)

    def stand(self, outlook: Outlook) -> frozenset[int]:
        """Take over what everybody may expect; returns the jobs for which something changed that people see.

        Who was admitted or ended while it was made has no place any more.
        """
        self.line = outlook.line
        before, jobs = self.standings, self.jobs
        self.standings = {
            id: standing
            for id, standing in outlook.standings.items()
            if (job := jobs.get(id)) is not None and job.waiting
        }
        changed = {id for id, standing in self.standings.items() if before.get(id) is not standing}
        return frozenset(changed | (before.keys() - self.standings.keys()))

"""One write at a time: decide on the job as it is, write it, and only then change memory and tell the readers.

Knows the database thread, the queue in memory and who leads. What is decided: decisions.py; when: the loops beside this
file and service/.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from ..model import Event, Job, NewJob, Node, ReasonCode
from ..scheduling import Ahead, Front, Snapshot, trial
from ..store import JobChanged, LoggedEvent, NodeMark, StoreUnavailable
from . import decisions
from .changes import HEALTH, NODES, QUEUE, Changes
from .database import Database
from .decisions import Change, OverLimit
from .handing import HandedBack
from .policy import Policy
from .queue import Queue

log = logging.getLogger("gpuqueue")

ABSENT_AGAIN_S = 60.0  # a job that the Hub does not start is passed by others; it is asked for again all the while
NO_HUB = "JupyterHub is not connected to the queue."
RETRIES = 3  # decide anew this often when somebody else moved the job; nobody but a former leader can


class NotLeading(Exception):
    """This manager stands by: another one holds the lease, or the database has not been read yet."""

    def __init__(self) -> None:
        super().__init__("this queue manager stands by, another one leads")


@dataclass(kw_only=True)
class Room:
    """What is known of the nodes, and why it cannot be trusted, in words; empty: it can."""

    nodes: tuple[Node, ...] = ()
    unknown: str = "The servers have not been looked at yet."
    seen: float = 0.0  #: Unix seconds of the last good look
    booted: float = 0.0  #: Unix seconds, when the machine started; 0: it has no such moment
    marks: dict[str, NodeMark] = field(default_factory=dict)  #: what admins said of nodes


class Manager:
    """The queue, and the only way to change it."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.time,
        changes: Changes | None = None,
    ) -> None:
        self.db = database
        self.policy = policy
        self.clock = clock  #: Unix seconds
        self.changes = changes or Changes()
        self.queue = Queue()
        self.room = Room()
        self.absent: frozenset[int] = frozenset()  #: jobs that the Hub, though connected, does not start
        self.handed_back = HandedBack()
        self.groups: dict[str, frozenset[str]] = {}  #: Hub groups of those who have a server
        self.hub_problem = NO_HUB
        self.wake = asyncio.Event()  #: something changed, so that somebody may start
        self.stirred = asyncio.Event()  #: something changed, so that those who wait may expect something else
        self.plan_rests_until = self.outlook_rests_until = 0.0  #: monotonic seconds; see wake_rested()
        self._front = Front()
        database.doubted = self.stir
        self.fence: int | None = None  #: number of this leadership; None: standing by
        self._turn = asyncio.Lock()

    # ---- leading -----------------------------------------------------------------------------------------------

    async def lead(self, fence: int) -> None:
        """Take over: read the queue from the database, and only then answer for it."""
        async with self._turn:
            await self._reload()
            self.fence = fence

    def stand_by(self) -> None:
        """Stop writing. What is in memory may still be shown, as old."""
        self.fence = None

    def leading(self) -> int:
        """The fence of this leadership.

        :raises NotLeading: there is none.
        """
        if self.fence is None:
            raise NotLeading
        return self.fence

    async def _reload(self) -> None:
        store = self.db.store
        self.db.doubt = False
        jobs = await self.db.call(store.jobs.open)
        self.room.marks = dict(await self.db.call(store.nodes.marks))
        before = self.queue.jobs
        self.queue = self.queue.renewed(jobs)
        self.changed(*before.keys(), *self.queue.jobs)

    def changed(self, *jobs: int) -> None:
        """Tell readers of these jobs and of the queue, and let the planner look again."""
        self.changes.publish(QUEUE, *jobs)
        self.stir()

    def stir(self) -> None:
        """Let the planner look again at once."""
        self.wake.set()
        self.stirred.set()

    def wake_rested(self) -> None:
        """Let the planner look again, after its rest: others' work changes what is free many times a second."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        for event, rests_until in ((self.wake, self.plan_rests_until), (self.stirred, self.outlook_rests_until)):
            if rests_until > now:
                loop.call_later(rests_until - now, event.set)
            else:
                event.set()

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        """One write at a time. While a database hangs each takes its whole time limit: who waits longer is sent away.

        :raises StoreUnavailable: others have waited for the database for too long.
        """
        try:
            async with asyncio.timeout(self.db.limit):
                await self._turn.acquire()
        except TimeoutError:
            raise StoreUnavailable("others have been waiting for it") from None
        try:
            yield
        finally:
            self._turn.release()

    # ---- one job -----------------------------------------------------------------------------------------------

    async def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Accept a request, or attach it to the open job of the same server; returns the job and whether it is new.

        :raises Refused: over a limit, fits nowhere, or the open job is on its way out.
        :raises StoreUnavailable: nothing was accepted, or it is not known whether it was: the same request may be sent
            again.
        """
        async with self._my_turn():
            await self._fresh()
            open_job = self.queue.of_server(new.user, new.server)
            self.handed_back.came(new, open_job, now=self.clock())
            if open_job is not None and open_job.request != new.request:
                job = await self._decide(open_job.id, lambda job: self._replaced(job, new))
                if job.request == new.request:
                    return job, False
                # Attached. Kept in the database too: once the job has ended, this request must not make another one.
            elif open_job is None:
                self._acceptable(new)
            job, created = await self.db.call(self.db.store.jobs.submit, new, fence=self.leading(), at=self.clock())
            self._confirmed(job)
        if created:
            log.info("job %s submitted by %s (server %r): %s", job.id, job.user, job.server, job.resources)
        return job, created

    def _replaced(self, job: Job, new: NewJob) -> Change | None:
        change = decisions.replaced(job, new, now=self.clock())
        if change is not None and change.event is Event.REPLACE:
            self._acceptable(new, instead=job)
        return change

    def _acceptable(self, new: NewJob, *, instead: Job | None = None) -> None:
        """Refuse what can never start, and what is over the limit of waiting jobs."""
        if new.lease > (most := self.policy.max_lease):
            words = f"{new.lease / 3600:g} h is longer than the {most / 3600:g} h that are allowed"
            raise OverLimit("lease", words, field="lease", value=new.lease, allowed=f"at most {most:g} seconds")
        others = (job for job in self.queue.of_user(new.user) if instead is None or job.id != instead.id)
        waiting = sum(job.waiting for job in others)
        if (limit := self.policy.queued_jobs) and waiting >= limit:
            words = f"{new.user} has {waiting} requests waiting; {limit} are allowed"
            raise OverLimit("queued-jobs", words, field="queued_jobs", value=waiting + 1, allowed=f"at most {limit}")
        if not self.room.unknown:
            self._may_fit(new)

    def _may_fit(self, new: NewJob) -> None:
        # Who waits does not matter, only what there is; nor do taints, which may be gone tomorrow.
        nodes = tuple(replace(node, taints=()) if node.taints else node for node in self._nodes())
        empty = Snapshot(nodes=nodes, jobs=(), limits=self.policy.limits)
        reason = trial(
            empty,
            user=new.user,
            resources=new.resources,
            constraints=new.constraints,
            lease=new.lease,
            now=self.clock(),
        ).reason
        if reason is not None and reason.code is ReasonCode.NEVER_FITS:
            words = f"{reason.lead} {reason.proof}".strip()
            value, allowed = str(new.resources), f"what fits on one server and within the user's limits. {words}"
            raise OverLimit("never-fits", words, field="resources", value=value, allowed=allowed)

    async def decide(self, job_id: int, decision: Callable[[Job], Change | None]) -> Job:
        """Let `decision` look at the job as it is, and write what it answers.

        :raises KeyError: no such open job.
        :raises InvalidTransition: the table does not allow it.
        :raises Refused: the decision does not.
        :raises StoreUnavailable: it is not known to be written.
        """
        async with self._my_turn():
            await self._fresh()
            return await self._decide(job_id, decision)

    async def _decide(self, job_id: int, decision: Callable[[Job], Change | None]) -> Job:
        for _ in range(RETRIES):
            job = self.queue.jobs[job_id]
            change = decision(job)
            if change is None:
                return job
            try:
                moved = await self.db.call(
                    self.db.store.jobs.apply,
                    job,
                    change.event,
                    fence=self.leading(),
                    at=self.clock(),
                    by=change.by,
                    note=change.note,
                    detail=change.detail,
                    **change.fields,
                )
            except JobChanged:
                await self._reload()
                continue
            self._confirmed(moved)
            self._tell(job, change, moved)
            return moved
        raise JobChanged(job_id)

    async def confirm(self) -> None:
        """Make sure that this manager leads, before it acts on what it remembers: it may have been paused for long.

        :raises LeaseLost: another one leads.
        :raises StoreUnavailable: that cannot be known now.
        """
        await self.db.call(self.db.store.leader.renew, self.leading())

    async def sure(self) -> None:
        """Find out what became of a write whose answer was lost, so that nobody is shown the queue before it for long.

        :raises StoreUnavailable: the database is still away.
        """
        problem = self.db.problem
        async with self._my_turn():
            await self._fresh()
        self.db.problem = problem  # that it can be read says nothing of whether it can be written: a disk may be full

    async def _fresh(self) -> None:
        self.leading()
        if self.db.doubt:
            await self._reload()

    def _confirmed(self, job: Job) -> None:
        self.queue.put(job)
        self.changed(job.id)

    def _tell(self, before: Job, change: Change, after: Job) -> None:
        devices = " ".join(after.placement.devices) if after.placement else ""
        where = f" on {after.placement.node} {devices}" if after.placement and change.event is Event.ADMIT else ""
        by = f" by {change.by}" if change.by else ""
        note = f": {change.note!r}" if change.note else ""
        log.info("job %s %s -> %s (%s%s)%s%s", after.id, before.state, after.state, change.event, by, where, note)

    # ---- reading -----------------------------------------------------------------------------------------------

    async def job(self, job_id: int) -> Job | None:
        """A job, open or ended."""
        known = self.queue.jobs.get(job_id) or self.queue.ended.get(job_id)
        return known or await self.db.call(self.db.store.jobs.get, job_id)

    async def job_of_key(self, key: str) -> Job | None:
        """The job whose processes carry this key, open or ended."""
        return self.queue.of_key(key) or await self.db.call(self.db.store.jobs.by_key, key)

    async def ended(self, *, since: float, user: str | None = None, limit: int = 100) -> tuple[Job, ...]:
        """Jobs that ended since, newest first; while the database is away, those that are remembered."""
        if not self.db.problem:
            with suppress(StoreUnavailable):
                return await self.db.call(self.db.store.jobs.ended, since=since, user=user, limit=limit)
        known = [job for job in self.queue.ended.values() if (job.ended or 0) >= since and user in (None, job.user)]
        return tuple(sorted(known, key=lambda job: job.ended or 0, reverse=True)[:limit])

    async def story(self, job_id: int) -> tuple[LoggedEvent, ...]:
        """What happened to a job."""
        return await self.db.call(self.db.store.jobs.events, job_id)

    async def mark_node(self, name: str, *, drained: bool, note: str, by: str) -> NodeMark:
        """Drain a node or take it back."""
        mark = await self.db.call(
            self.db.store.nodes.mark, name, drained=drained, note=note, by=by, fence=self.leading(), at=self.clock()
        )
        self.room.marks[name] = mark
        log.info("node %s %s by %s: %r", name, "drained" if drained else "taken back", by, note)
        self.changes.publish(NODES)
        self.stir()
        return mark

    def departed(self) -> tuple[str, ...]:
        """Users with open jobs who are in none of the groups that one needs to log in."""
        needed = frozenset(self.policy.member_groups)
        users = sorted({job.user for job in self.queue.jobs.values()} & self.groups.keys())
        return tuple(user for user in users if needed and not needed & self.groups[user])

    def problem(self) -> str:
        """Why nobody is admitted right now, in words for people; empty: all is well."""
        if self.fence is None:
            return "The queue is starting."
        if self.db.problem:
            return "The queue's database does not answer."
        return self.room.unknown or self.hub_problem

    def snapshot(self) -> Snapshot:
        """What a plan may look at."""
        now = self.clock()
        return Snapshot(
            nodes=self._nodes(),
            jobs=tuple(self._eligible(job, now=now) for job in self.queue.jobs.values()),
            limits=self.policy.limits,
            unknown=self.problem(),
        )

    def ahead(self) -> Ahead:
        """Whom a plan would admit now."""
        if self.problem():
            return Ahead()
        now = self.clock()
        return self._front.ahead(
            nodes=self._nodes(),
            holding=self.queue.holding(),
            line=(self._eligible(job, now=now) for job in self.queue.waiting()),
            limits=self.policy.limits,
            now=now,
        )

    def _nodes(self) -> tuple[Node, ...]:
        return tuple(_marked(node, self.room.marks.get(node.name)) for node in self.room.nodes)

    def _eligible(self, job: Job, *, now: float) -> Job:
        if not job.not_before and job.id not in self.absent:
            return job  # nearly all: a copy of each of thousands would hold up everybody
        not_before = decisions.not_before(job, now=now, retry_delay=self.policy.retry_delay)
        return replace(job, not_before=max(not_before, now + ABSENT_AGAIN_S if job.id in self.absent else 0.0))

    def hub_is(self, present: bool) -> None:
        """Take over whether a Hub is connected, and tell when that changed."""
        problem = "" if present else NO_HUB
        if problem != self.hub_problem:
            self.hub_problem = problem
            log.warning("Hub: %s", problem) if problem else log.info("Hub: connected")
            self.changes.publish(HEALTH, QUEUE)
            self.stir()


def _marked(node: Node, mark: NodeMark | None) -> Node:
    if mark is None or not mark.drained:
        return node
    return replace(node, drained=True, note=mark.note)

"""Look at what really runs, and tell the queue: what is free, which job's last process is gone, which server ended.

Knows the capacity and a job's processes. GPUs are given back here and nowhere else: when an observation that began
after the job was on its way out shows no process of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from ..capacity import Capacity, CapacityUnavailable, Mark, Observation, Process, Trace
from ..model import Cause, Fate, InvalidTransition, Job, Node, Placement, State
from ..model.kept import Kept
from ..store import StoreUnavailable
from . import decisions
from .changes import NODES
from .decisions import Change
from .finding import Running
from .manager import Manager, Room
from .strays import Question, Stray, room, strays
from .threads import OneThread

log = logging.getLogger("gpuqueue")

LOOK_S = 1.0  # how long a GPU may stay unused after its last process ended
LIMIT_S = 10.0  # a driver that hangs answers later or never
REST, REST_MIN_S = 12, 0.1  # times as long as a look took, and seconds: then others' next change is looked at
MAX_AGE_S = 15.0  # older than this, nobody is admitted on the strength of it
LOST_S = 10.0  # a cluster that was away calls its nodes dead for a moment, until it has heard of them again
GIVEN_UP_S = 300.0  # as long Kubernetes by default waits for a node before it gives up what runs there
SEES_S = 3.0  # the cluster tells everybody of a pod's end at about the same time; who asks waits for 5 s
TAKEN_KEPT = 100  # for the admin page; the jobs' stories keep them all


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What the cluster took away from a job, for admins."""

    at: float  #: Unix seconds
    job: int
    user: str
    words: str


class Watch:
    """Looks, and keeps the last look."""

    def __init__(
        self,
        manager: Manager,
        capacity: Capacity,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
    ) -> None:
        self.manager = manager
        self.capacity = capacity
        self.strays: tuple[Stray, ...] = ()
        #: jobs that run, by id and launch, and whose server was gone at the last look
        self.lost: frozenset[tuple[int, int]] = frozenset()
        #: what was taken away while this process led, the oldest first
        self.taken: deque[Taken] = deque(maxlen=TAKEN_KEPT)
        self.ring = asyncio.Event()  #: look now
        self._clock = clock
        self._look_s = look_s
        self._thread = OneThread("capacity")
        self._rests_until = clock()  # see _changed()
        self._rings = False  # as soon as it has rested
        self._seen = clock()  #: when the last good look began
        self._kept: Kept[Question, Node] = Kept()
        self._seen_traces: Mapping[str, tuple[Trace, ...]] = {}
        self._seen_marks: Mapping[str, Mark] = {}
        self._seen_fates: Mapping[tuple[str, int], Fate] = {}
        self._dead_since: dict[str, float] = {}  # jobs all of whose pods are lost with their nodes, by key
        self._away_since: dict[str, float] = {}  # nodes that nobody hears from, by name
        self._given_up: frozenset[str] = frozenset()  # of these, those that were drained for it
        self._looked = asyncio.Condition()

    async def run(self) -> None:
        """Look until cancelled."""
        self.lost, self._rings = frozenset(), False
        self._show(unknown=Room().unknown)  # what this process saw when it led before may be hours old
        loop = asyncio.get_running_loop()
        self.capacity.changed = lambda: loop.call_soon_threadsafe(self._changed)
        remembered = False
        while True:
            self.ring.clear()
            try:
                remembered = remembered or await self._recall()
                if remembered:
                    begun = self._clock()
                    await self.look()
                    rest = max(REST_MIN_S, REST * (self._clock() - begun))
                    self._rests_until = self._clock() + min(self._look_s, rest)
            except StoreUnavailable as error:
                log.warning("watching: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self.ring.wait()

    def _changed(self) -> None:
        """Look at once where a job is on its way out, else after a rest: in a large cluster something always changes.

        What changes when it has rested is looked at at once too. The rest is never longer than a look would be waited
        for anyway.
        """
        leaves = any(job.state is State.STOPPING for job in self.manager.queue.holding())
        rest = 0.0 if leaves else self._rests_until - self._clock()
        if rest <= 0:
            self.ring.set()
        elif not self._rings:
            self._rings = True
            asyncio.get_running_loop().call_later(rest, self._rested)

    def _rested(self) -> None:
        self._rings = False
        self.ring.set()

    async def _recall(self) -> bool:
        """Before the first look: a process that only the database knows must not be taken for gone."""
        try:
            await asyncio.to_thread(self._remember, self.manager.queue.holding())
        except (CapacityUnavailable, OSError) as error:
            self._blind(error)
            return False
        return True

    def _remember(self, jobs: Collection[Job]) -> None:
        """Tell the capacity of the processes that the database knows, and let it forget what ended meanwhile."""
        for key in {*self.capacity.prepared()} - {job.key for job in jobs}:
            self.capacity.release(key)
        for job in jobs:
            if job.pid is not None and job.pid_started is not None:
                devices = job.placement.devices if job.placement else ()
                self.capacity.adopt(job.key, pid=job.pid, started=job.pid_started, devices=devices)

    async def look(self) -> None:
        """Look once, and draw the consequences."""
        begun = self._clock()
        versions = {job.id: job.version for job in self.manager.queue.holding()}
        try:
            observation = await self._thread.call(LIMIT_S, self.capacity.look)
        except (CapacityUnavailable, OSError) as error:  # a TimeoutError is one
            self._blind(error)
            return
        self._seen = begun
        self._seen_traces, self._seen_marks = observation.jobs, observation.marked
        self._seen_fates = observation.fates
        self._take(observation)
        async with self._looked:
            self._looked.notify_all()
        # Of those that moved since the look began, what was seen is too old.
        still = [job for job in self.manager.queue.holding() if versions.get(job.id) == job.version]
        taken = {job.id: fate for job in still if (fate := self.fate(job)) and _taken(job, fate)}
        gone = [job for job in still if job.id not in taken and _lost(job, observation.jobs.get(job.key, ()))]
        lost = [job for job in gone if await self._gone(job)]
        self._lose({(job.id, job.launch) for job in lost} - {(job.id, job.launch) for job in self.relaunched()})
        dead, away = self._dead(observation), self._away(observation)
        for job in still:
            left = not observation.jobs.get(job.key)
            if job.state is State.STOPPING and (left or job.key in dead) and await self._gone(job):
                self._uncover(job, observation)
                await self._conclude(job, dead=not left)
            elif job.id in taken:
                await self._give_up(job, taken[job.id].words)
            elif job.state is State.RUNNING and job.key in dead:
                await self._leave(job)
            elif job.state is State.STARTING and job.placement and away.get(job.placement.node, 0.0) >= LOST_S:
                await self._give_up(job, f"The cluster does not hear from {job.placement.node} any more.")
        await self._drain_given_up({node for node, seconds in away.items() if seconds >= GIVEN_UP_S})

    def _away(self, observation: Observation) -> Mapping[str, float]:
        """For how many seconds nobody has heard from a node, by its name."""
        now = self._clock()
        self._away_since = {node: self._away_since.get(node, now) for node in observation.away}
        return {node: now - since for node, since in self._away_since.items()}

    async def _drain_given_up(self, nodes: Collection[str]) -> None:
        """Once for each time that it is away: an admin may take it back before it is there again."""
        for node in {*nodes} - self._given_up:
            await self._drain_lost(node)
        self._given_up = frozenset(nodes)

    def _uncover(self, job: Job, observation: Observation) -> None:
        """Show what else uses its node before what it holds is free: others may have taken that, and be why it ends."""
        if job.placement is None or not self.capacity.takes_away:
            return
        node = job.placement.node
        there = replace(observation, nodes=tuple(each for each in observation.nodes if each.name == node))
        others = [each for each in self.manager.queue.holding() if each.id != job.id]
        anew = {each.name: each for each in room(there, others)}
        self._show(nodes=tuple(anew.get(each.name, each) for each in self.manager.room.nodes))

    def _dead(self, observation: Observation) -> frozenset[str]:
        """Jobs all of whose pods have been lost with their nodes for long enough to believe it."""
        now = self._clock()
        lost = [key for key, traces in observation.jobs.items() if traces and all(trace.lost for trace in traces)]
        self._dead_since = {key: self._dead_since.get(key, now) for key in lost}
        return frozenset(key for key, since in self._dead_since.items() if now - since >= LOST_S)

    async def _gone(self, job: Job) -> bool:
        """Whether the capacity is sure of it."""
        try:
            return await self._thread.call(LIMIT_S, self.capacity.gone, job.key)
        except (CapacityUnavailable, OSError) as error:
            log.warning("job %s: %s", job.id, error)
            return False

    def _blind(self, error: CapacityUnavailable | OSError) -> None:
        words = error.words if isinstance(error, CapacityUnavailable) else "This machine does not say what is free."
        if self._clock() - self._seen > MAX_AGE_S or not self.manager.room.nodes:
            if self.manager.room.unknown != words:
                log.error("watching: %s", words)
            self._show(unknown=words)

    def _take(self, observation: Observation) -> None:
        holding = [*self.manager.queue.holding()]
        self.strays = strays(observation, holding)
        self.manager.room.seen = self.manager.clock()
        self._show(nodes=room(observation, holding, kept=self._kept))

    def _show(self, *, nodes: tuple[Node, ...] | None = None, unknown: str = "") -> None:
        room = self.manager.room
        nodes = room.nodes if nodes is None else nodes
        if (nodes, unknown) == (room.nodes, room.unknown):
            return
        concerns_all = unknown != room.unknown
        room.nodes, room.unknown = nodes, unknown
        self.manager.changes.publish(NODES)
        if concerns_all:
            self.manager.stir()
        else:
            self.manager.wake_rested()

    def _lose(self, jobs: set[tuple[int, int]]) -> None:
        """How these ended is found out in ending.py."""
        before, self.lost = self.lost, frozenset(jobs)
        self.manager.changes.publish(*(id for id, _ in self.lost - before))

    async def _conclude(self, job: Job, *, dead: bool) -> None:
        """Its last process is gone, or its node is: what it held is free."""
        policy, now = self.manager.policy, self.manager.clock()
        node = job.placement.node if job.placement else ""
        if dead:
            await self._drain_lost(node)

        def gone(current: Job) -> Change | None:
            """Only of the job as it was when the look began."""
            if current.version != job.version:
                return None
            return decisions.gone(current, now=now, retry_delay=policy.retry_delay, lost=node if dead else "")

        with suppress(KeyError, InvalidTransition):  # it moved meanwhile: the next look tells
            if (await self.manager.decide(job.id, gone)).version > job.version:
                await self._release(job.key)

    async def _drain_lost(self, node: str) -> None:
        """It takes nothing new until somebody has looked at it."""
        if not (mark := self.manager.room.marks.get(node)) or not mark.drained:
            await self.manager.mark_node(node, drained=True, note="It was lost.", by="")

    async def _leave(self, job: Job) -> None:
        """Its node died: it starts anew elsewhere."""
        node = job.placement.node if job.placement else ""
        await self._drain_lost(node)
        note = f"{node} was lost; it is started anew on another server. What ran there may still write to its files."
        with suppress(KeyError, InvalidTransition):
            await self.manager.decide(job.id, lambda current: decisions.restart(current, by="", note=note))

    async def _give_up(self, job: Job, words: str) -> None:
        """The cluster took away what it runs in: it goes back to its place, once nothing is left there."""
        with suppress(KeyError, InvalidTransition):
            await self.decide(job.id, lambda current: decisions.taken(current, launch=job.launch, words=words))

    async def decide(self, job_id: int, decision: Callable[[Job], Change | None]) -> Job:
        """Let the manager decide, and tell admins when something was taken away.

        :raises KeyError: no such open job.
        """
        change: Change | None = None

        def noted(job: Job) -> Change | None:
            nonlocal change
            change = decision(job)
            return change

        job = await self.manager.decide(job_id, noted)
        if change is not None and change.detail.get("taken"):
            log.warning("job %s of %s: %s", job.id, job.user, job.message)
            self.taken.append(Taken(at=self.manager.clock(), job=job.id, user=job.user, words=job.message))
        return job

    async def _release(self, key: str) -> None:
        try:
            await asyncio.to_thread(self.capacity.release, key)
        except (CapacityUnavailable, OSError) as error:  # done at the next start
            log.warning("what was prepared for %s stays: %s", key, error)

    async def gone(self, key: str) -> None:
        """Wait until a look that begins from now on shows no process of the job."""
        since = self._clock()
        self.ring.set()
        async with self._looked:
            await self._looked.wait_for(lambda: self._seen >= since and not self._seen_traces.get(key))

    def fate(self, job: Job) -> Fate | None:
        """What became of what its last launch made, as far as was seen."""
        return self._seen_fates.get((job.key, job.launch))

    async def sees_end(self, job: Job) -> bool | None:
        """Whether a look that begins now, or one soon after it, does not show its server any more; None: none came."""
        since = self._clock()

        def ended() -> bool:
            gone = self._seen >= since and not any(each.serves(job) for each in self.traces(job.key))
            return gone or self.fate(job) is not None

        self.ring.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(SEES_S), self._looked:
                await self._looked.wait_for(ended)
        return ended() if ended() or (self._seen >= since and not self.manager.room.unknown) else None

    def running(self, key: str) -> Running | None:
        """What lives of a job, by the mark that its processes carry; None: nothing does, or it is not known where."""
        processes, mark = self.processes(key), self._seen_marks.get(key)
        if not processes or mark is None:
            return None
        server = min(processes, key=lambda process: (process.started, process.pid))  # all others descend from it
        for node in self.manager.room.nodes:
            if {device.id for device in node.devices}.issuperset(mark.devices):
                place = Placement(node=node.name, devices=mark.devices)
                return Running(launch=mark.launch, placement=place, pid=server.pid, pid_started=server.started)
        return None

    def relaunched(self) -> tuple[Job, ...]:
        """Jobs that run, in a later launch than the queue knows of."""
        running = [job for job in self.manager.queue.holding() if job.state is State.RUNNING]
        marks = self._seen_marks
        return tuple(job for job in running if job.key in marks and marks[job.key].launch > job.launch)

    def another_may_run(self, key: str) -> bool:
        """Whether a server that the queue does not know may have taken a job's name: it must not be stopped for it."""
        return bool(self.strays) and not self.traces(key)

    def processes(self, key: str) -> tuple[Process, ...]:
        """The job's processes at the last look; of a job that is a pod there are none."""
        return tuple(each for each in self.traces(key) if isinstance(each, Process))

    def seen_keys(self) -> tuple[str, ...]:
        """The keys of all jobs that something was left of at the last look, known ones or not."""
        return tuple(self._seen_traces)

    def traces(self, key: str) -> tuple[Trace, ...]:
        """The job's processes or pods at the last look."""
        return tuple(self._seen_traces.get(key, ()))


def _lost(job: Job, traces: tuple[Trace, ...]) -> bool:
    """Whether it should run and its server is not among these."""
    return job.state is State.RUNNING and not any(each.serves(job) for each in traces)


def _taken(job: Job, fate: Fate) -> bool:
    """Whether the cluster took it away; what a node refuses as it starts, its launch tells as a failure."""
    return fate.cause is Cause.TAKEN or (fate.cause is Cause.REFUSED and job.state is State.RUNNING)

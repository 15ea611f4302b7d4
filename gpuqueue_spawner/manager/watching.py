"""Look at what really runs, and tell the queue: what is free, which job's last process is gone, which server ended.

Knows the capacity and a job's processes. GPUs are given back here and nowhere else: when an observation that began
after the job was on its way out shows no process of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ..capacity import Capacity, CapacityUnavailable, Mark, Observation, Process
from ..model import InvalidTransition, Job, Node, Placement, State
from ..store import StoreUnavailable
from . import decisions
from .changes import NODES
from .decisions import Change
from .finding import Running
from .manager import Manager, Room
from .threads import OneThread

log = logging.getLogger("gpuqueue")

LOOK_S = 1.0  # how long a GPU may stay unused after its last process ended
LIMIT_S = 10.0  # a driver that hangs answers later or never
MAX_AGE_S = 15.0  # older than this, nobody is admitted on the strength of it
UNKNOWN_SERVER = "a running server that this queue does not know"


@dataclass(frozen=True, kw_only=True)
class Stray:
    """Processes that carry the mark of a job which holds no GPUs: after a restored backup, say."""

    key: str
    processes: tuple[Process, ...]
    devices: tuple[str, ...] = field(default=())


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
        self.ring = asyncio.Event()  #: look now
        self._clock = clock
        self._look_s = look_s
        self._thread = OneThread("capacity")
        self._seen = clock()  #: when the last good look began
        self._seen_processes: Mapping[str, tuple[Process, ...]] = {}
        self._seen_marks: Mapping[str, Mark] = {}
        self._looked = asyncio.Condition()

    async def run(self) -> None:
        """Look until cancelled."""
        self.lost = frozenset()
        self._show(unknown=Room().unknown)  # what this process saw when it led before may be hours old
        remembered = False
        while True:
            self.ring.clear()
            try:
                remembered = remembered or await self._recall()
                if remembered:
                    await self.look()
            except StoreUnavailable as error:
                log.warning("watching: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self.ring.wait()

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
        self._seen_processes, self._seen_marks = observation.jobs, observation.marked
        self._take(observation)
        async with self._looked:
            self._looked.notify_all()
        # Of those that moved since the look began, what was seen is too old.
        still = [job for job in self.manager.queue.holding() if versions.get(job.id) == job.version]
        gone = {(job.id, job.launch) for job in still if _lost(job, observation.jobs.get(job.key, ()))}
        self._lose(gone - {(job.id, job.launch) for job in self.relaunched()})
        for job in still:
            if job.state is State.STOPPING and not observation.jobs.get(job.key):
                await self._conclude(job)

    def _blind(self, error: CapacityUnavailable | OSError) -> None:
        words = error.words if isinstance(error, CapacityUnavailable) else "This machine does not say what is free."
        if self._clock() - self._seen > MAX_AGE_S or not self.manager.room.nodes:
            if self.manager.room.unknown != words:
                log.error("watching: %s", words)
            self._show(unknown=words)

    def _take(self, observation: Observation) -> None:
        # What is only admitted has no process: one that carries its mark is none that this queue permitted.
        holding = {job.key: job.placement for job in self.manager.queue.holding() if job.state is not State.ADMITTED}
        self.strays = tuple(
            Stray(key=key, processes=processes, devices=observation.marked.get(key, Mark(launch=0)).devices)
            for key, processes in sorted(observation.jobs.items())
            if key not in holding and processes
        )
        taken = {device for stray in self.strays for device in stray.devices}
        for key, placement in holding.items():  # of a restored backup: launched anew since, and elsewhere
            given = placement.devices if placement else ()
            taken |= {*observation.marked.get(key, Mark(launch=0)).devices} - {*given}
        self.manager.room.seen = self.manager.clock()
        self._show(nodes=tuple(_without(node, taken) for node in observation.nodes))

    def _show(self, *, nodes: tuple[Node, ...] | None = None, unknown: str = "") -> None:
        room = self.manager.room
        nodes = room.nodes if nodes is None else nodes
        if (nodes, unknown) != (room.nodes, room.unknown):
            room.nodes, room.unknown = nodes, unknown
            self.manager.changes.publish(NODES)
            self.manager.wake.set()

    def _lose(self, jobs: set[tuple[int, int]]) -> None:
        """How these ended is found out in ending.py."""
        before, self.lost = self.lost, frozenset(jobs)
        self.manager.changes.publish(*(id for id, _ in self.lost - before))

    async def _conclude(self, job: Job) -> None:
        """Its last process is gone: what it held is free."""
        policy, now = self.manager.policy, self.manager.clock()

        def gone(current: Job) -> Change | None:
            """Only of the job as it was when the look began."""
            known = current.version == job.version
            return decisions.gone(current, now=now, retry_delay=policy.retry_delay) if known else None

        with suppress(KeyError, InvalidTransition):  # it moved meanwhile: the next look tells
            if (await self.manager.decide(job.id, gone)).version > job.version:
                await self._release(job.key)

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
            await self._looked.wait_for(lambda: self._seen >= since and not self._seen_processes.get(key))

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
        return bool(self.strays) and not self.processes(key)

    def processes(self, key: str) -> tuple[Process, ...]:
        """The job's processes at the last look."""
        return tuple(self._seen_processes.get(key, ()))


def _lost(job: Job, processes: tuple[Process, ...]) -> bool:
    """Whether it should run and its server process is not among these; a kernel that outlived it is not it."""
    if job.state is not State.RUNNING:
        return False
    if job.pid is None:
        return not processes
    return all((each.pid, each.started) != (job.pid, job.pid_started) for each in processes)


def _without(node: Node, taken: set[str]) -> Node:
    devices = tuple(
        replace(device, foreign=device.foreign or UNKNOWN_SERVER) if device.id in taken else device
        for device in node.devices
    )
    return replace(node, devices=devices)

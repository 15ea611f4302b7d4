"""Pods of launches that are over and that nobody has deleted: the Hub is told of them until they are gone.

A Hub that stops a server while the cluster does not answer, or dies at that moment, deletes nothing; and a request to
make a pod may reach the cluster after the one to delete it. Knows which launches are over, and how long a Hub has to
end them by itself. How it is told: service/spawner_api/stream.py. Who deletes: spawner/clearing.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..capacity import Capacity, Pod
from ..model import Job, State
from ..store import StoreUnavailable
from .manager import Manager
from .watching import Watch

log = logging.getLogger("gpuqueue")

LOOK_S = 2.0
PATIENCE_S = 10.0  # the Hub deletes what it ends within a second, where the cluster answers
ALIVE = frozenset({State.STARTING, State.RUNNING, State.RESTARTING})


@dataclass(frozen=True, kw_only=True)
class Left:
    """One launch whose pod must go."""

    key: str  #: of its job
    namespace: str
    launch: int


def over(job: Job) -> int:
    """The latest of its launches that is over, whatever comes; 0: none.

    No launch comes back: what a restored database does not know of has a higher number.
    """
    return job.launch - 1 if job.state in ALIVE else job.launch


class Leftovers:
    """Finds them."""

    def __init__(
        self, manager: Manager, capacity: Capacity, watch: Watch, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.manager, self.capacity, self.watch = manager, capacity, watch
        self.due: tuple[Left, ...] = ()  #: what the Hub must delete now
        self._clock = clock
        self._since: dict[Left, float] = {}  # when each was first seen
        self._strangers: set[str] = set()  # keys that the database does not know: a restored one learns of none later

    async def run(self) -> None:
        """Look until cancelled, where the Hub's spawner ends what it has made."""
        if self.capacity.ends:
            return
        self._since, self._strangers = {}, set()
        try:
            while True:
                try:
                    await self.look()
                except StoreUnavailable as error:
                    log.warning("what is left of ended jobs is looked for later: %s", error)
                    self.due = ()
                await asyncio.sleep(LOOK_S)
        finally:
            self.due = ()

    async def look(self) -> None:
        """Go through what was seen last."""
        if self.manager.room.unknown:
            self.due = ()
            return
        now, patience = self._clock(), max(PATIENCE_S, self.manager.policy.stop_grace)
        found = [left for key in self.watch.seen_keys() for left in await self._of(key)]
        self._since = {left: self._since.get(left, now) for left in found}
        due = tuple(left for left, since in self._since.items() if now - since >= patience)
        if due:
            await self.manager.confirm()
        for left in due:
            if left not in self.due:
                log.warning("launch %s of %s is over, and its pod is not: the Hub deletes it", left.launch, left.key)
        self.due = due

    async def _of(self, key: str) -> tuple[Left, ...]:
        pods = [*self._pods(key)]
        if not pods or key in self._strangers:
            return ()
        job = await self.manager.job_of_key(key)
        if job is None:
            self._strangers.add(key)
            return ()
        last = over(job)
        left = {Left(key=key, namespace=pod.namespace, launch=pod.launch) for pod in pods if 0 < pod.launch <= last}
        return tuple(sorted(left, key=lambda each: each.launch))

    def _pods(self, key: str) -> Iterator[Pod]:
        for trace in self.watch.traces(key):
            if isinstance(trace, Pod) and not trace.leaving:
                yield trace

"""End what is on its way out: ask the Hub to stop the server, then end what is left of its processes.

A server that ended by itself is on its way out too, once it is known how it ended. Knows the order and the patience.
That the processes are gone is seen in watching.py; only that frees the GPUs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial

from ..capacity import Capacity, CapacityUnavailable
from ..model import Cause, End, Fate, InvalidTransition, Job, State, foremost
from ..store import StoreUnavailable
from . import decisions
from .decisions import Change
from .hub import HubAPI, HubUnavailable
from .hubs import Hubs
from .manager import Manager
from .watching import Watch

log = logging.getLogger("gpuqueue")

AGAIN_S = 1.0
THREADS = 16  # jobs whose processes are ended at a time; each takes up to 13 s and little work
HUB_S = 60.0  # a Hub that was away comes back within this; it knows who stopped what meanwhile, and how it ended
EXIT_S = 20.0  # for its answer; it may first have to notice that this manager is back
KILL_AFTER_S = 3.0  # between the request to end and the kill, for what outlived its server


LOST = "JupyterHub had lost this server; it is started anew."
BY_ITSELF = frozenset({End.COMPLETED, End.FAILED})


class Ending:
    """One task for each job that is on its way out."""

    def __init__(self, manager: Manager, capacity: Capacity, watch: Watch, hub: HubAPI, hubs: Hubs) -> None:
        self.manager, self.capacity, self.watch, self.hub, self.hubs = manager, capacity, watch, hub, hubs
        # Of its own: where everybody stops at once, or a driver hangs, plans and claims must not wait for a thread.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ending")

    async def run(self) -> None:
        """Watch the queue until cancelled."""
        tasks: dict[int, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            with self.manager.changes.subscribe() as changes:
                while True:
                    tasks = {id: task for id, task in tasks.items() if not task.done()}
                    for job in self.manager.queue.holding():
                        if self._due(job) and job.id not in tasks:
                            tasks[job.id] = group.create_task(self._end(job), name=f"end job {job.id}")
                    await changes.next()

    def _due(self, job: Job) -> bool:
        lost = job.state is State.RUNNING and (job.id, job.launch) in self.watch.lost
        return lost or job.state is State.STOPPING

    async def _end(self, job: Job) -> None:
        """Stay with one job until it is gone."""
        if job.state is State.RUNNING:
            await self._learn(job)
        elif job.end is None or job.end in BY_ITSELF:
            pass  # the Hub knows, and may be starting it anew: asked to stop the server, it would end that start
        elif self.hubs.present:
            await self._ask(job)
        else:
            await asyncio.sleep(self.manager.policy.stop_grace)
        while self._leaving(job):
            if await self._leads(job):
                await self.sweep(job.key)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await self._until_gone(job)

    async def _ask(self, job: Job) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.manager.policy.stop_grace):
                try:
                    await self.hub.stop_server(job.user, job.server)
                except HubUnavailable as error:
                    log.warning("job %s: %s", job.id, error)
                await self._until_gone(job)  # the server saves and ends by itself

    async def _learn(self, job: Job) -> None:
        """Wait until somebody says how a server ended that nobody stopped, or until nobody will."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HUB_S):
                await self._until(lambda: self.hubs.present or not self._runs(job))
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_S):
                told = False
                if await self._leads(job) and self._runs(job) and self._may_look(job):
                    told = await self._let_the_hub_look(job)
                # Of a pod the Hub knows no more than it has said by now; a process it may have to wait for.
                if not (told and self.capacity.takes_away):
                    await self._until(lambda: not self._runs(job))
        while self._runs(job):
            await self._never_learnt(job)

    def _may_look(self, job: Job) -> bool:
        """Not when it would stop another server: one that starts anew, or one that a restored queue does not know."""
        return not self.hubs.held(job.key) and not self.watch.another_may_run(job.key)

    async def _let_the_hub_look(self, job: Job) -> bool:
        """Asked to stop it, the Hub sees that it ended, tells how, and lets its owner start another one.

        Returns whether it has done so. Where what ran can be taken away, a Hub that has not seen it yet would call that
        a stop; it is none.
        """
        asked = self.hubs.asked(job.key) if self.capacity.takes_away else nullcontext()
        try:
            with asked:
                return await self.hub.stop_server(job.user, job.server)
        except HubUnavailable as error:
            log.warning("job %s: %s", job.id, error)
            return False

    async def exited(self, job: Job, *, launch: int, status: int | None, fate: Fate | None) -> Job:
        """The Hub says that a server ended which nobody stopped, and what it has seen of that.

        :raises KeyError: no such open job.
        """
        runs = job.state is State.RUNNING and job.launch == launch
        if runs and self.capacity.takes_away and (fate is None or fate.cause is not Cause.TAKEN):
            seen = await self.watch.sees_end(job)  # what it was asked to end for, it may tell better
            if status is None and fate is None and seen is None:
                return job  # nobody can tell now; the look that can finds it gone
            if status is None and fate is None and not seen:
                return await self.manager.decide(job.id, lambda now: _lost_by_the_hub(now, launch=launch))
        return await self._exited(job, launch=launch, status=status, fate=fate)

    async def _exited(self, job: Job, *, launch: int, status: int | None, fate: Fate | None) -> Job:
        now, booted = self.manager.clock(), self.manager.room.booted
        best = foremost((self.watch.fate(job), fate)) if job.launch == launch else fate

        def exited(current: Job) -> Change | None:
            return decisions.exited(
                current,
                launch=launch,
                status=status,
                now=now,
                booted=booted,
                fate=best,
                takes_away=self.capacity.takes_away,
            )

        return await self.watch.decide(job.id, exited)

    async def failed(self, job: Job, *, launch: int, message: str, taken: bool, away: bool = False) -> Job:
        """The Hub says that a launch failed; not by its own fault where the cluster took it away, or did not answer.

        :raises KeyError: no such open job.
        """
        retries, fate = self.manager.policy.launch_retries, self.watch.fate(job)
        if fate is not None and fate.cause is Cause.TAKEN:
            taken, message = True, fate.words

        def failed(current: Job) -> Change | None:
            if taken and current.state is State.STARTING:
                return decisions.taken(current, launch=launch, words=message)
            if away:
                return decisions.unlaunch(current, launch=launch, message=message)
            return decisions.failed(current, launch=launch, message=message, retries=retries)

        return await self.watch.decide(job.id, failed)

    async def _never_learnt(self, job: Job) -> None:
        try:
            with suppress(KeyError, InvalidTransition):  # it moved meanwhile
                await self._exited(job, launch=job.launch, status=None, fate=None)
        except StoreUnavailable as error:
            log.warning("job %s is ended later: %s", job.id, error)
            await asyncio.sleep(AGAIN_S)

    async def _leads(self, job: Job) -> bool:
        """Whether this manager may end it: since one that was paused took its last look, it may run again.

        :raises LeaseLost: another manager leads.
        """
        try:
            await self.manager.confirm()
        except StoreUnavailable as error:
            log.warning("job %s is ended later: %s", job.id, error)
            return False
        return True

    async def sweep(self, key: str) -> bool:
        """End every process that is left of a job; returns whether none is."""
        try:
            end = partial(self.capacity.end, key, grace=KILL_AFTER_S)
            done = await asyncio.get_running_loop().run_in_executor(self._threads, end)
        except CapacityUnavailable as error:
            log.warning("ending %s: %s", key, error)
            done = False
        self.watch.ring.set()
        return done

    async def _until_gone(self, job: Job) -> None:
        await self._until(lambda: not self._leaving(job))

    async def _until(self, condition: Callable[[], bool]) -> None:
        with self.manager.changes.subscribe() as changes:
            while not condition():
                await changes.next()

    def _runs(self, job: Job) -> bool:
        """Whether it is still the server that was lost."""
        now = self.manager.queue.jobs.get(job.id)
        return now is not None and (now.key, now.launch, now.state) == (job.key, job.launch, State.RUNNING)

    def _leaving(self, job: Job) -> bool:
        now = self.manager.queue.jobs.get(job.id)
        return now is not None and now.key == job.key and now.state is State.STOPPING


def _lost_by_the_hub(job: Job, *, launch: int) -> Change | None:
    """It lives, and the Hub has given it up: nobody could open it any more."""
    if job.launch != launch or job.state is not State.RUNNING:
        return None
    return decisions.restart(job, by="", note=LOST)

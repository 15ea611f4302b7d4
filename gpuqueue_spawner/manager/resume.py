"""Post again what the Hub forgot: a Hub that restarts loses every start() that waited, and the queue keeps them.

Knows which open jobs need a start() in the Hub and which have one. Admitted jobs first, then in the order of the queue,
a few a second, so that logins stay quick. The new start() attaches to the same job.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ..model import End, InvalidTransition, Job, State
from ..store import DeviceTaken, StoreUnavailable
from . import decisions, finding
from .decisions import WITHOUT_PROCESS, Change, Refused
from .ending import LOST
from .hub import HubAPI, HubUnavailable, HubUser, Started
from .hubs import Hubs
from .manager import Manager
from .watching import Watch

log = logging.getLogger("gpuqueue")

LOOK_S = 0.5
GRACE_S = 2.0  # a job may be unheld for a moment: its start() has just begun, or just returned
RESTART_GRACE_S = (
    0.3  # nothing holds a job whose owner pressed Restart; one that a new start() attached to is held soon
)
PER_SECOND = 5.0
AGAIN_S, AGAIN_MAX_S = 15.0, 300.0  # after an answer that was no success, doubled each time
PENDING_S = 2.0  # a pod on a node that died is waited for, in vain, for half a minute
ABSENT_S = 20.0  # a job that the Hub will not start holds up those behind it no longer than this
UNLAUNCHED_S = 60.0
COMPARE_S = 10.0  # how often running jobs are compared with the Hub's servers
YOUNG_S = 120.0  # the Hub stores a server's state right after it was ready; one lost later was lost by somebody's act

NEEDS_START = frozenset({State.QUEUED, State.HELD, State.ADMITTED, State.STARTING, State.RESTARTING})
GONE_USER = "JupyterHub has no such user any more."


@dataclass(kw_only=True)
class Patience:
    """What was tried for one job that no Hub holds."""

    since: float  #: monotonic seconds, when it was first seen without a start()
    next: float = 0.0  #: not tried again before this
    wait: float = AGAIN_S


class Resume:
    """Brings jobs and the Hub's servers together again."""

    def __init__(self, manager: Manager, hubs: Hubs, hub: HubAPI, watch: Watch) -> None:
        self.manager, self.hubs, self.hub, self.watch = manager, hubs, hub, watch
        self._patience: dict[int, Patience] = {}
        self._missing: frozenset[int] = frozenset()  # running jobs whose server the Hub did not list at the last look
        self._compared = 0.0
        self._alone_since: float | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.hubs.ring.clear()
            try:
                await self.look()
            except (StoreUnavailable, HubUnavailable) as error:
                log.warning("resume: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.hubs.ring.wait()

    async def look(self) -> None:
        """Look once: post what is due, give back what nobody launches, compare what runs."""
        now = time.monotonic()
        if not self.hubs.present:
            self._patience.clear()
            self.manager.handed_back.clear()
            self._alone_since = self._alone_since or now
            if now - self._alone_since > UNLAUNCHED_S:
                await self._give_back()
            return
        self._alone_since = None
        for job in self._unheld(now):
            await self._post(job)
            await asyncio.sleep(1 / PER_SECOND)
        for job in self.watch.relaunched():
            await self._take_over(job)
        await self._give_back()
        if now - self._compared > COMPARE_S:
            self._compared = now
            await self._compare(await self.hub.active_users())

    def _unheld(self, now: float) -> list[Job]:
        """Jobs without a start() whose turn to be posted has come; admitted ones first."""
        unheld = [job for job in self.manager.queue.but(self.hubs.held_keys()) if job.state in NEEDS_START]
        self._patience = {job.id: self._patience.get(job.id) or Patience(since=now) for job in unheld}
        absent = frozenset(id for id, patience in self._patience.items() if now - patience.since > ABSENT_S)
        if absent != self.manager.absent:
            self.manager.absent = absent
            self.manager.stir()
        due = [
            job
            for job in unheld
            if now - self._patience[job.id].since >= _grace(job) and self._patience[job.id].next <= now
        ]
        return sorted(due, key=lambda job: (not job.holding, job.queued, job.id))

    async def _post(self, job: Job) -> None:
        await self.manager.confirm()
        if self._moved(job):
            return  # while others were posted
        patience = self._patience[job.id]
        patience.next = time.monotonic() + patience.wait
        patience.wait = min(patience.wait * 2, AGAIN_MAX_S)
        if job.state is State.RESTARTING and not await self._stopped(job):
            patience.next, patience.wait = time.monotonic() + 1, AGAIN_S  # it is still ending
            return
        if self._moved(job):
            return  # its owner stopped it while its server was stopped to be started anew
        self.manager.handed_back.note(job, now=self.manager.clock())
        answer, words = await self.hub.start_server(job.user, job.server, job.options)
        if answer is not Started.ACCEPTED:
            self.manager.handed_back.forget(job)
        log.info("job %s posted again for %s (server %r): %s %s", job.id, job.user, job.server, answer.name, words)
        if answer is Started.NO_USER:
            end = End.REJECTED if job.waiting or job.state is State.ADMITTED else End.FAILED
            await self._decide(
                job, lambda job: decisions.stop(job, now=self.manager.clock(), end=end, message=GONE_USER)
            )
        elif answer is Started.RUNNING:
            await self._runs_already(job)
        elif answer is Started.PENDING and self.watch.capacity.takes_away:
            patience.next, patience.wait = time.monotonic() + PENDING_S, AGAIN_S
        elif answer is Started.REFUSED and job.state is State.STARTING:
            note = f"JupyterHub did not start it again: {words}"
            await self._decide(job, lambda now: decisions.unlaunch(now, launch=job.launch, message=note))

    async def _stopped(self, job: Job) -> bool:
        """Whether the server of a job that is to be started anew is gone."""
        running = self.watch.running(job.key)
        if running is not None and running.launch > job.launch:
            await self._take_over(job)  # it was started anew: the database is older
            return False
        return self.watch.another_may_run(job.key) or await self.hub.stop_server(job.user, job.server)

    async def _runs_already(self, job: Job) -> None:
        """The Hub has looked, and a server of this name lives: the database is older, it was restored from a copy."""
        if self.manager.room.unknown:
            return  # nobody can tell whose it is
        running = self.watch.running(job.key)
        if running is not None and running.of(job):
            await self._take_over(job)
        elif job.launch and self.watch.capacity.takes_away and not any(job.key == it.key for it in self.watch.strays):
            await self._let_go(job)
        elif not self.watch.processes(job.key) or job.state in WITHOUT_PROCESS:  # else its end would end them
            log.warning("job %s: the Hub runs another server of %s (%r)", job.id, job.user, job.server)
            await self._decide(job, lambda job: finding.superseded(job, now=self.manager.clock()))

    async def _let_go(self, job: Job) -> None:
        """What it ran in was taken away, and the Hub has not seen it yet: it must give that up first."""
        with self.hubs.asked(job.key):
            await self.hub.stop_server(job.user, job.server)
        if job.id in self._patience:
            self._patience[job.id].next, self._patience[job.id].wait = time.monotonic() + PENDING_S, AGAIN_S

    async def _take_over(self, job: Job) -> None:
        """Write down that it runs; what was interrupted goes on at the next time."""
        try:
            while (running := self.watch.running(job.key)) is not None:
                step = partial(finding.found, running=running, now=self.manager.clock())
                moved = await self._decide(job, step)
                if moved is None or moved.version == job.version:
                    return
                job = moved
        except DeviceTaken as error:  # by a job that ended since the copy was made, which is being found out
            log.warning("resume: %s", error)
            if job.id in self._patience:
                self._patience[job.id].wait = AGAIN_S
        finally:
            self.watch.ring.set()  # what it has is not a stranger's any more

    def _moved(self, job: Job) -> bool:
        return self.manager.queue.jobs.get(job.id) != job or self.hubs.held(job.key)

    async def _give_back(self) -> None:
        """Take the GPUs back from jobs that were admitted and that nobody launches."""
        now = self.manager.clock()
        for job in self.manager.queue.holding():
            if (
                job.state is State.ADMITTED
                and not self.hubs.held(job.key)
                and abs(now - (job.admitted or now)) > UNLAUNCHED_S  # a clock that was set back delays nobody
            ):
                await self._decide(job, lambda job: decisions.requeue(job, note="JupyterHub did not launch it."))

    async def _compare(self, users: tuple[HubUser, ...]) -> None:
        """A young running job whose server the Hub does not know, twice: the Hub died before it stored it."""
        self.manager.groups = {user.name: user.groups for user in users}
        known = {(user.name, server) for user in users for server in user.servers}
        now = self.manager.clock()
        missing = frozenset(
            job.id
            for job in self.manager.queue.holding()
            if job.state is State.RUNNING
            and (job.user, job.server) not in known
            and not self.hubs.held(job.key)
            and abs(now - (job.started or now)) < YOUNG_S  # a clock that was set back makes nothing young again
            and (job.id, job.launch) not in self.watch.lost  # the Hub knows that it ended
        )
        for id in sorted(missing & self._missing):
            job = self.manager.queue.jobs.get(id)
            if job is not None:  # else it ended while another was written
                await self._decide(job, lambda job: decisions.restart(job, by="", note=LOST))
        self._missing = missing

    async def _decide(self, job: Job, decision: Callable[[Job], Change | None]) -> Job | None:
        with suppress(KeyError, InvalidTransition, Refused):  # it moved meanwhile: the next look tells
            return await self.manager.decide(job.id, decision)
        return None


def _grace(job: Job) -> float:
    return RESTART_GRACE_S if job.state is State.RESTARTING else GRACE_S

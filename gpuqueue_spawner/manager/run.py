"""Lead whenever nobody else does, with every loop under one parent: one that fails ends them all, loudly, once.

Knows which loops there are. Who serves pages meanwhile: service/.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..capacity import Capacity
from ..store import LeaseLost, StoreUnavailable
from . import leadership
from .cordoning import cordon_loop
from .ending import Ending
from .housekeeping import housekeeping_loop
from .hub import HubAPI
from .hubs import Hubs
from .launching import Launching
from .leadership import LeaseUnknown
from .leases import lease_loop
from .leftovers import Leftovers
from .manager import Manager
from .outlook import outlook_loop
from .planning import plan_loop
from .resume import Resume
from .watching import Watch

log = logging.getLogger("gpuqueue")


@dataclass(frozen=True, kw_only=True)
class Office:
    """Everything that works on the queue, put together once."""

    manager: Manager
    watch: Watch
    ending: Ending
    launching: Launching
    resume: Resume
    hubs: Hubs
    leftovers: Leftovers

    @classmethod
    def of(cls, manager: Manager, capacity: Capacity, hub: HubAPI, *, secret: bytes) -> Office:
        """Put it together."""
        hubs = Hubs()
        hubs.came_or_went = manager.hub_is
        manager.room.booted = capacity.booted()
        watch = Watch(manager, capacity)
        ending = Ending(manager, capacity, watch, hub, hubs)
        launching = Launching(manager, capacity, watch, ending, secret=secret, instance=capacity.instance)
        return cls(
            manager=manager,
            watch=watch,
            ending=ending,
            launching=launching,
            resume=Resume(manager, hubs, hub, watch),
            hubs=hubs,
            leftovers=Leftovers(manager, capacity, watch),
        )

    async def run(self, holder: str, *, shared: bool = False) -> None:
        """Lead, stand by, lead again, until cancelled; gives the lease up on the way out.

        :param shared: whether other managers work on the same queue.
        """
        while True:
            fence = await leadership.take(self.manager.db, holder)
            try:
                await self._lead(fence, shared=shared)
            except asyncio.CancelledError:
                await self._give_up(fence)
                raise
            finally:
                self.manager.stand_by()

    async def _lead(self, fence: int, *, shared: bool) -> None:
        """Work until somebody else leads, or may lead, or the database could not be read."""
        try:
            await self.manager.lead(fence)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(leadership.renew(self.manager.db, fence, shared=shared), name="leader lease")
                tasks.create_task(self.watch.run(), name="watch")
                tasks.create_task(plan_loop(self.manager), name="planner")
                tasks.create_task(outlook_loop(self.manager), name="outlook")
                tasks.create_task(self.ending.run(), name="ending")
                tasks.create_task(self.resume.run(), name="resume")
                tasks.create_task(self.leftovers.run(), name="leftovers")
                tasks.create_task(lease_loop(self.manager), name="leases")
                tasks.create_task(cordon_loop(self.manager, self.watch.capacity), name="cordons")
                tasks.create_task(housekeeping_loop(self.manager), name="housekeeping")
        except* LeaseLost as lost:
            log.warning("another manager leads: %s", lost.exceptions[0])
        except* LeaseUnknown as unknown:
            log.warning("standing by: %s", unknown.exceptions[0])
        except* StoreUnavailable as error:
            log.warning("could not take over: %s", error.exceptions[0])

    async def _give_up(self, fence: int) -> None:
        """Let the next one take over without waiting."""
        try:
            await self.manager.db.call(self.manager.db.store.leader.give_up, fence)
        except (LeaseLost, StoreUnavailable) as error:
            log.warning("the lease could not be given up: %s", error)

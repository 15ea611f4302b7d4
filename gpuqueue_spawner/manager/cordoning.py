"""Have the place where jobs run keep everybody off the nodes that admins drained.

Knows when to tell it, and tells it the whole each time: what could not be done, or was done before a restart, is made
good by the next time. Which nodes to change: capacity.
"""

from __future__ import annotations

import asyncio
import logging

from ..capacity import Capacity, CapacityUnavailable
from .manager import Manager

log = logging.getLogger("gpuqueue")

EVERY_S = 2.0  # an admin watches it happen


async def cordon_loop(manager: Manager, capacity: Capacity) -> None:
    """Tell it until cancelled."""
    problem = ""
    while True:
        try:
            await asyncio.to_thread(capacity.cordon, drained_by_people(manager))
            now = ""
        except CapacityUnavailable as error:
            now = error.words
        if now and now != problem:
            log.warning("drained nodes are not cordoned: %s", now)
        problem = now
        await asyncio.sleep(EVERY_S)


def drained_by_people(manager: Manager) -> frozenset[str]:
    """A node that the queue itself drained, because it was lost, may well serve others when it is back."""
    return frozenset(mark.name for mark in manager.room.marks.values() if mark.drained and mark.by)

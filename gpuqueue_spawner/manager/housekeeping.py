"""Sum up and remove what ended long ago, once an hour.

Knows when. How: store/usage.py.
"""

from __future__ import annotations

import asyncio
import logging

from ..store import StoreUnavailable
from .manager import Manager

log = logging.getLogger("gpuqueue")

EVERY_S = 3600.0


async def housekeeping_loop(manager: Manager) -> None:
    """Look once an hour until cancelled."""
    while True:
        before = manager.clock() - manager.policy.keep_ended
        try:
            while gone := await manager.db.call(manager.db.store.jobs.expire, before=before, fence=manager.leading()):
                log.info("%s ended jobs were summed up by day and user", gone)
        except StoreUnavailable as error:
            log.warning("housekeeping: %s", error)
        await asyncio.sleep(EVERY_S)

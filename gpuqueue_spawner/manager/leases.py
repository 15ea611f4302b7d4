"""Warn before a lease ends, end it when its time is up, and give nobody less warning than was promised.

Knows two clocks: the wall clock, which can jump, and the monotonic one, which shows that it did. What the clock does to
a job is decided in decisions.py.
"""

from __future__ import annotations

import asyncio
import logging
import time

from ..model import InvalidTransition
from ..store import StoreUnavailable
from . import decisions
from .manager import Manager

log = logging.getLogger("gpuqueue")

LOOK_S = 1.0  # people watch the minutes of their lease; a second late is not seen
JUMP_S = 30.0  # more than a busy machine stalls, less than any warning time


async def lease_loop(manager: Manager) -> None:
    """Watch the leases until cancelled."""
    since = manager.clock()
    offset = since - time.monotonic()
    while True:
        await asyncio.sleep(LOOK_S)
        now = manager.clock()
        if abs(now - time.monotonic() - offset) > JUMP_S:
            log.warning("the clock jumped by %.0f s: leases that it ended get their warning time anew", now - since)
            since = now
        offset = now - time.monotonic()
        await look(manager, now=now, since=since)


async def look(manager: Manager, *, now: float, since: float) -> None:
    """What the clock does to each job, once."""
    for job in manager.queue.holding():  # who waits has no lease that runs
        if _due(manager, job.id, now=now, since=since):
            try:
                await manager.decide(
                    job.id,
                    lambda job: decisions.lease(job, now=now, warning=manager.policy.warning, since=since),
                )
            except (KeyError, InvalidTransition):  # it ended meanwhile
                continue
            except StoreUnavailable as error:
                log.warning("leases: %s", error)
                return


def _due(manager: Manager, job_id: int, *, now: float, since: float) -> bool:
    job = manager.queue.jobs.get(job_id)
    return job is not None and decisions.lease(job, now=now, warning=manager.policy.warning, since=since) is not None

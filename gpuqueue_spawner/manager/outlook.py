"""Tell those that wait what they may expect: place, reason, estimated start.

Knows when a plan of the whole line is worth its time. It runs in a thread, one at a time: the event loop only talks.
What a plan is: scheduling/planner.py. Who is admitted, which waits for none of this: planning.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from ..scheduling import Snapshot, plan
from ..store import StoreUnavailable
from .changes import QUEUE
from .manager import Manager

log = logging.getLogger("gpuqueue")

REPLAN_S = 30.0  # every change stirs; a missed one leaves an estimate wrong for at most this
#: Times as long as the last plan took, and seconds at most: before the next one, so that who starts now starts first...
SETTLE, SETTLE_MAX_S = 1, 0.3
CALM, CALM_MAX_S = 3, 1.0  # ...after it, whatever happens...
REST, REST_MAX_S = 20, 10.0  # ...and where only others' work changed what is free
AGAIN_S = 1.0  # after a database fault


async def outlook_loop(manager: Manager) -> None:
    """Plan and tell until cancelled."""
    took = 0.0
    while True:
        await asyncio.sleep(min(SETTLE_MAX_S, SETTLE * took))
        manager.stirred.clear()  # before the pass: a change during it starts another
        begun = time.monotonic()
        try:
            pause = await outlook_once(manager)
        except StoreUnavailable as error:
            log.warning("planning: %s", error)
            await asyncio.sleep(AGAIN_S)
            continue
        took = time.monotonic() - begun
        manager.outlook_rests_until = begun + took + min(REST_MAX_S, REST * took)
        await asyncio.sleep(min(CALM_MAX_S, CALM * took))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await manager.stirred.wait()


async def outlook_once(manager: Manager) -> float:
    """Plan once, and tell. Returns the seconds until the next pass is due if nothing changes."""
    await manager.sure()
    snapshot, now = manager.snapshot(), manager.clock()
    result = await asyncio.to_thread(plan, snapshot, now=now)
    if result.admissions:
        manager.wake.set()  # they were free to start when it began: the planner knows by now, or was about to
    changed = manager.queue.stand(result.waits, now=now)
    if changed:
        manager.changes.publish(QUEUE, *changed)
    return AGAIN_S if manager.db.problem else _next_due(snapshot, now=now)


def _next_due(snapshot: Snapshot, *, now: float) -> float:
    """A job that waits for a moment has another reason from that moment on."""
    moments = [job.not_before - now for job in snapshot.jobs if job.not_before > now and job.waiting]
    return max(0.05, min([REPLAN_S, *moments]))

"""Plan when something changed, and admit whom the plan admits.

Knows when to plan and what to do when the world moved meanwhile. What a plan is: scheduling/planner.py, which runs in a
thread, one plan at a time: the event loop only talks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from ..scheduling import Admit, Snapshot, plan
from ..store import DeviceTaken, StoreUnavailable
from . import decisions
from .changes import QUEUE
from .manager import Manager

log = logging.getLogger("gpuqueue")

REPLAN_S = 30.0  # every change wakes the planner; a missed one costs a user at most this
REST, REST_MAX_S = 12, 5.0  # times as long as a plan took; what jobs do wakes the planner at once all the same
AGAIN_S = 1.0  # after a database fault: long enough not to hammer it, short enough that nobody notices


async def plan_loop(manager: Manager) -> None:
    """Plan until cancelled."""
    while True:
        manager.wake.clear()  # before the pass: a change during it starts another
        begun = time.monotonic()
        try:
            pause = await plan_once(manager)
            took = time.monotonic() - begun
            manager.plan_rests_until = begun + took + min(REST_MAX_S, REST * took)
        except StoreUnavailable as error:
            log.warning("planning: %s", error)
            await asyncio.sleep(AGAIN_S)  # not until woken: each fault wakes
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await manager.wake.wait()


async def plan_once(manager: Manager) -> float:
    """One pass: plan, admit, tell. Returns the seconds until the next pass is due if nothing changes."""
    await manager.sure()
    snapshot = manager.snapshot()
    now = manager.clock()
    result = await asyncio.to_thread(plan, snapshot, now=now)
    versions = {job.id: job.version for job in snapshot.jobs}
    for admission in result.admissions:
        await _admit(manager, admission, version=versions[admission.job])
    changed = manager.queue.stand(result.waits, now=now)
    if changed:
        manager.changes.publish(QUEUE, *changed)
    return AGAIN_S if manager.db.problem else _next_due(snapshot, now=now)


async def _admit(manager: Manager, admission: Admit, *, version: int) -> None:
    try:
        await manager.decide(
            admission.job,
            lambda job: decisions.admit(job, admission.placement, version=version, now=manager.clock()),
        )
    except KeyError:  # it ended while the plan was made
        pass
    except DeviceTaken as error:
        # The database refuses a GPU promised twice; memory was wrong, so it is read anew before the next plan.
        log.error("planning: %s", error)
        manager.db.doubt = True
        manager.wake.set()


def _next_due(snapshot: Snapshot, *, now: float) -> float:
    """A job that waits for a moment is planned at that moment."""
    moments = [job.not_before - now for job in snapshot.jobs if job.waiting and job.not_before > now]
    return max(0.05, min([REPLAN_S, *moments]))

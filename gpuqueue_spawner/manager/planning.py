"""Admit whom a plan would admit, as soon as something changed.

Knows when to look and what to do when the world moved meanwhile. Who is next: scheduling/front.py, which looks at the
front of the line only, so that nobody waits for a plan of thousands. What those behind are told: outlook.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from ..scheduling import Admit
from ..store import DeviceTaken, StoreUnavailable
from . import decisions
from .manager import Manager
from .outlook import outlook_once

log = logging.getLogger("gpuqueue")

REPLAN_S = 30.0  # every change wakes the planner; a missed one costs a user at most this
#: Times as long as a look at the front took, and seconds; then what others' work changes counts. What jobs do, at once.
REST, REST_MIN_S, REST_MAX_S = 12, 0.1, 1.0
AGAIN_S = 1.0  # after a database fault: long enough not to hammer it, short enough that nobody notices


async def plan_loop(manager: Manager) -> None:
    """Admit until cancelled."""
    while True:
        manager.wake.clear()  # before the pass: a change during it starts another
        try:
            pause = await admit_once(manager)
        except StoreUnavailable as error:
            log.warning("planning: %s", error)
            await asyncio.sleep(AGAIN_S)  # not until woken: each fault wakes
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await manager.wake.wait()


async def plan_once(manager: Manager) -> None:
    """Admit, then tell everybody else."""
    await admit_once(manager)
    await outlook_once(manager)


async def admit_once(manager: Manager) -> float:
    """Admit whose turn it is. Returns the seconds until the next pass is due if nothing changes."""
    await manager.sure()
    begun = time.monotonic()
    ahead, now = manager.ahead(), manager.clock()
    took = time.monotonic() - begun
    manager.plan_rests_until = begun + took + min(REST_MAX_S, max(REST_MIN_S, REST * took))
    versions = {admission.job: manager.queue.jobs[admission.job].version for admission in ahead.admissions}
    for admission in ahead.admissions:
        await _admit(manager, admission, version=versions[admission.job])
    if manager.db.problem:
        return AGAIN_S
    return REPLAN_S if ahead.due is None else min(REPLAN_S, max(0.05, ahead.due - now))


async def _admit(manager: Manager, admission: Admit, *, version: int) -> None:
    try:
        await manager.decide(
            admission.job,
            lambda job: decisions.admit(job, admission.placement, version=version, now=manager.clock()),
        )
    except KeyError:  # it ended meanwhile
        pass
    except DeviceTaken as error:
        # The database refuses a GPU promised twice; memory was wrong, so it is read anew before the next plan.
        log.error("planning: %s", error)
        manager.db.doubt = True
        manager.stir()

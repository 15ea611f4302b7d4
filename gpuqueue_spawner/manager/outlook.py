"""Tell those that wait what they may expect: place, reason, estimated start.

Knows when a plan of the whole line is worth its time. It runs in a thread, one at a time: the event loop only talks.
What a plan is: scheduling/planner.py. Who is admitted, which waits for none of this: planning.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress

from ..model import State
from ..scheduling import Snapshot, plan
from ..store import StoreUnavailable
from .changes import QUEUE
from .manager import Manager
from .queue import Outlook, Standing

log = logging.getLogger("gpuqueue")

REPLAN_S = 30.0  # every change stirs; a missed one leaves an estimate wrong for at most this
# Each as many times as long as the last plan took, and seconds at most. Between a change and the next plan, so that who
# starts by it starts first: a plan of thousands, and telling them, slows everything else...
SETTLE, SETTLE_MAX_S = 1, 0.3
# ...the same while a job is on its way out: once it is gone, it all changes again; and until the next one is launched.
PASSING, PASSING_MAX_S = 10, 2.0
CALM, CALM_MAX_S = 3, 1.0  # after a plan, whatever happens
REST, REST_MAX_S = 20, 10.0  # after a plan, where only others' work changes what is free
LOOK_S, LOOKS = 0.05, 2  # that many without such a job: between the end of one and the next one's turn there is none
AGAIN_S = 1.0  # after a database fault


async def outlook_loop(manager: Manager) -> None:
    """Plan and tell until cancelled."""
    took = 0.0
    while True:
        await _settle(manager, took)
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


async def _settle(manager: Manager, took: float) -> None:
    begun, calm = time.monotonic(), 0
    await asyncio.sleep(min(SETTLE_MAX_S, SETTLE * took))
    while calm < LOOKS and time.monotonic() - begun < min(PASSING_MAX_S, PASSING * took):
        passes = any(job.state in (State.STOPPING, State.ADMITTED) for job in manager.queue.holding())
        calm = 0 if passes else calm + 1
        await asyncio.sleep(LOOK_S)


async def outlook_once(manager: Manager) -> float:
    """Plan once, and tell. Returns the seconds until the next pass is due if nothing changes."""
    await manager.sure()
    snapshot, now = manager.snapshot(), manager.clock()
    admits, outlook = await asyncio.to_thread(_look_ahead, snapshot, dict(manager.queue.standings), now=now)
    if admits:
        manager.wake.set()  # they were free to start when it began: the planner knows by now, or was about to
    changed = manager.queue.stand(outlook)
    if changed:
        manager.changes.publish(QUEUE, *changed)
    return AGAIN_S if manager.db.problem else _next_due(snapshot, now=now)


def _look_ahead(snapshot: Snapshot, before: Mapping[int, Standing], *, now: float) -> tuple[bool, Outlook]:
    """Whether anybody starts now, and what all others may expect."""
    result = plan(snapshot, now=now)
    return bool(result.admissions), Outlook.of(result.waits, jobs=snapshot.jobs, before=before, now=now)


def _next_due(snapshot: Snapshot, *, now: float) -> float:
    """A job that waits for a moment has another reason from that moment on."""
    moments = [job.not_before - now for job in snapshot.jobs if job.not_before > now and job.waiting]
    return max(0.05, min([REPLAN_S, *moments]))

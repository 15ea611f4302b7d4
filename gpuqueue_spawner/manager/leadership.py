"""One manager writes at a time: take the lease, keep it, and notice at once when it is lost.

No two machines' clocks are compared: who stands by watches whether the holder's beat moves, by its own monotonic clock.
On one machine it also sees whether the holder's process still lives. The fence in every write is what makes a manager
that was paused harmless: store/leader.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from ..store import Lease, StoreUnavailable
from .database import Database

log = logging.getLogger("gpuqueue")

TTL_S = 15.0  # a holder whose beat does not move for this long has lost the lease; Kubernetes uses the same
BEAT_S = 3.0
LOOK_S = 0.5


class LeaseUnknown(Exception):
    """The database has not confirmed the lease for so long that another manager may have taken it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the lease could not be renewed for {seconds:.0f} s, another manager may lead")
        self.seconds = seconds


def identity() -> str:
    """This process, so that another one on the same machine can see whether it still lives.

    Boot, process namespace, pid and start time: a pid alone is used again.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"{boot}/{namespace}/{os.getpid()}/{_started(os.getpid())}"


def is_dead(host: str) -> bool:
    """Whether the process with this identity certainly lives no more: False when it cannot be known."""
    mine = identity().split("/")
    theirs = host.split("/")
    if len(theirs) != 4 or theirs[:2] != mine[:2]:
        return False
    try:
        return _started(int(theirs[2])) != int(theirs[3])
    except (OSError, ValueError):
        return True


def _started(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(fields[19])


async def take(db: Database, holder: str) -> int:
    """Wait until the lease is free, or its holder is gone, and take it. Returns the fence."""
    host = identity()
    seen: Lease | None = None
    since = time.monotonic()
    told = False
    while True:
        try:
            lease = await db.call(db.store.leader.read)
            if seen is None or lease is None or (lease.fence, lease.beat) != (seen.fence, seen.beat):
                seen, since = lease, time.monotonic()
            free = lease is None or lease.holder in ("", holder) or is_dead(lease.host)
            if free or time.monotonic() - since > TTL_S:
                fence = await db.call(db.store.leader.take, holder, host, seen=lease)
                if fence is not None:
                    log.info("leading, fence %s", fence)
                    return fence
            elif not told:
                log.info("standing by: another manager leads")
                told = True
        except StoreUnavailable as error:
            log.warning("standing by: %s", error)
        await asyncio.sleep(LOOK_S)


async def renew(db: Database, fence: int, *, shared: bool) -> None:
    """Beat until the lease is lost. A database that is away for everybody takes the lease from nobody.

    :param shared: whether other managers reach the database too, perhaps while this one does not.
    :raises LeaseLost: another manager leads.
    :raises LeaseUnknown: another one may; requests and Hub, which go to whoever says to lead, must not stay here.
    """
    renewed = time.monotonic()
    while True:
        await asyncio.sleep(BEAT_S)
        try:
            await db.call(db.store.leader.renew, fence)
            renewed = time.monotonic()
        except StoreUnavailable as error:
            log.warning("the lease could not be renewed: %s", error)
            if shared and (silent := time.monotonic() - renewed) > TTL_S:
                raise LeaseUnknown(silent) from error

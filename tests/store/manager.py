"""A queue manager as a process of its own, without Hub and HTTP, on leases that are short enough for a test.

`python -m tests.store.manager ADDRESS NAME SOCKET AHEAD` leads whenever nobody else does; its clock is AHEAD seconds
off. It answers a line of JSON with one: `["submit", USER, REQUEST]` with the job's id, `["stop", ID]` with the id, and
whatever it cannot do now with null. Everything behind is the real manager; made up are two nodes without a notebook,
and a Hub that takes every request.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from gpuqueue_spawner.manager import Manager, NotLeading, Policy, decisions, leadership
from gpuqueue_spawner.manager.database import Database
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.store import LeaseLost, Store, StoreUnavailable
from tests.unit.manager.world import SECRET, Machine, NoHub

from .builders import request

TTL_S, BEAT_S, LOOK_S = 0.8, 0.2, 0.05
PATIENCE_S = 1.0  # with the database; as long as one that is paused in a transaction keeps the lease row


async def answered(manager: Manager, asked: list[Any]) -> int | None:
    """Do what was asked; None: it is not known to be done, so it is to be asked again."""
    try:
        match asked:
            case ["submit", user, name]:
                job, _ = await manager.submit(request(user, request=name))
                return job.id
            case ["stop", id]:
                await manager.decide(id, lambda job: decisions.stop(job, now=manager.clock(), by="somebody"))
                return int(id)
    except KeyError:
        return int(asked[1])  # it has ended
    except (LeaseLost, NotLeading, StoreUnavailable):
        pass
    return None


async def main(address: str, name: str, socket: str, ahead: float) -> None:
    """Run until killed."""
    leadership.TTL_S, leadership.BEAT_S, leadership.LOOK_S = TTL_S, BEAT_S, LOOK_S
    manager = Manager(
        Database(Store(address, timeout=PATIENCE_S)), Policy(queued_jobs=0), clock=lambda: time.time() + ahead
    )
    office = Office.of(manager, Machine(instance="0123456789abcdef"), NoHub(), secret=SECRET)  # type: ignore[arg-type]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(await answered(manager, json.loads(line))).encode() + b"\n")
            await writer.drain()

    with office.hubs.connected("hub", ()):
        async with await asyncio.start_unix_server(serve, socket):
            await office.run(f"{name}/{os.getpid()}", shared=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], float(sys.argv[4])))

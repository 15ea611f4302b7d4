"""A machine, a clock and managers on one database, for histories that no real machine would show often enough.

The store, the planner and the managers are the real ones; only processes and time are made up.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import itertools
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gpuqueue_spawner.capacity import Capacity, Mark, Observation, Process
from gpuqueue_spawner.manager import Manager, Policy
from gpuqueue_spawner.manager.database import Database
from gpuqueue_spawner.manager.hub import Started
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import Device, NewJob, Node, Resources
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.store import Store

T = TypeVar("T")
SECRET = b"s" * 32


@dataclass
class Alive:
    """A process: a wrapper before its claim, a notebook after it."""

    key: str
    launch: int
    devices: tuple[str, ...]
    notebook: bool = False


class Machine(Capacity):
    """Two nodes of four GPUs, and processes that live and die by the test's will."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alive: dict[int, Alive] = {}
        self._pids = itertools.count(100)
        self.nodes = tuple(
            Node(
                name=name,
                allocatable=Resources(cpus=64, memory=2**40, gpus={NVIDIA_GPU: 4}),
                devices=tuple(Device(id=f"{name}-{index}", index=index) for index in range(4)),
            )
            for name in ("dgx1", "dgx2")
        )

    def fork(self, key: str, launch: int, devices: tuple[str, ...], *, notebook: bool = False) -> int:
        pid = next(self._pids)
        self.alive[pid] = Alive(key=key, launch=launch, devices=devices, notebook=notebook)
        return pid

    def look(self) -> Observation:
        jobs: dict[str, tuple[Process, ...]] = {}
        marked: dict[str, Mark] = {}
        for pid, each in self.alive.items():
            process = Process(pid=pid, started=pid, uid=1000, command="python")
            jobs[each.key] = (*jobs.get(each.key, ()), process)
            marked[each.key] = Mark(launch=each.launch, devices=each.devices)
        return Observation(nodes=self.nodes, jobs=jobs, marked=marked)

    def adopt(self, key: str, *, pid: int, started: int, launch: int | None = None, devices: Any = ()) -> bool:
        each = self.alive.get(pid)
        return each is not None and each.key == key and launch in (None, each.launch)

    def end(self, key: str, *, grace: float) -> bool:
        for pid in [pid for pid, each in self.alive.items() if each.key == key]:
            del self.alive[pid]
        return True


class NoHub:
    """A Hub that takes every request and does nothing."""

    async def start_server(self, user: str, server: str, options: Any) -> tuple[Started, str]:
        return Started.ACCEPTED, ""

    async def stop_server(self, user: str, server: str) -> bool:
        return True

    async def active_users(self) -> tuple[Any, ...]:
        return ()


@dataclass
class World:
    """Everything around the managers."""

    folder: Path
    now: float = 1_000_000.0
    machine: Machine = field(default_factory=lambda: Machine(instance="0123456789abcdef"))
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    offices: list[Office] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/queue.sqlite"

    def __post_init__(self) -> None:
        shutil.copy(_empty_database(), self.folder / "queue.sqlite")

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def office(self, **policy: Any) -> Office:
        """A new manager process on the same database; it does not lead yet."""

        async def build() -> Office:
            store = Store(self.url)
            manager = Manager(Database(store), Policy(**policy), clock=lambda: self.now)
            manager.hub_is(True)
            return Office.of(manager, self.machine, NoHub(), secret=SECRET)  # type: ignore[arg-type]

        office = self.run(build())
        self.offices.append(office)
        return office

    def lead(self, office: Office) -> None:
        """Make this manager the leader, whoever was it before; the other one is not told."""

        async def take() -> None:
            store = office.manager.db.store
            fence = await office.manager.db.call(store.leader.take, "test", "host", seen=store.leader.read())
            assert fence is not None
            await office.manager.lead(fence)
            await office.watch.look()

        self.run(take())

    def close(self) -> None:
        for office in self.offices:
            self.run(office.manager.db.close())
        self.runner.close()


@functools.cache
def _empty_database() -> Path:
    """A database at the newest schema; made once, since migrations take longer than a whole history."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    store = Store(f"sqlite:///{folder.name}/empty.sqlite")
    store.upgrade()
    store.close()
    return Path(folder.name, "empty.sqlite")


def new_job(
    user: str = "alice", server: str = "", *, gpus: int = 1, request: str = "", lease: float = 3600.0
) -> NewJob:
    """A request; two with other numbers differ in their options, as the Hub's would."""
    return NewJob(
        user=user,
        server=server,
        request=request or f"request-of-{user}-{server}-{gpus}",
        resources=Resources(cpus=1, memory=2**30, gpus={NVIDIA_GPU: gpus}),
        lease=lease,
        options={"profile": f"{gpus}-gpus"},
    )

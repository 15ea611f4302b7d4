"""What a look at the machine means, also when the machine says nothing for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.capacity import CapacityUnavailable
from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import Job, State

from .world import World, new_job


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    it = World(tmp_path)
    yield it
    it.close()


def admitted(world: World, office: Office) -> Job:
    job, _ = world.run(office.manager.submit(new_job()))
    world.run(plan_once(office.manager))
    return office.manager.queue.jobs[job.id]


def running(world: World, office: Office) -> Job:
    """A notebook whose process only its claim tells."""
    job = admitted(world, office)
    manager = office.manager
    assert job.placement is not None
    pid = world.machine.fork(job.key, 1, job.placement.devices, notebook=True)
    world.run(manager.decide(job.id, lambda job: decisions.launch(job, version=None)))
    world.run(manager.decide(job.id, lambda job: decisions.claim(job, launch=1, pid=pid, started=pid)))
    return world.run(manager.decide(job.id, lambda job: decisions.ready(job, launch=1, now=world.now)))


@pytest.mark.parametrize("fault", [CapacityUnavailable("No answer."), OSError(24, "Too many open files")])
def test_a_machine_that_cannot_be_read_at_first_ends_neither_the_manager_nor_a_job(
    world: World, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Nothing is taken for gone, and nobody is admitted, before every process that the database knows was recalled."""
    office = world.office()
    world.lead(office)
    manager, watch = office.manager, office.watch
    job = running(world, office)
    waiting, _ = world.run(manager.submit(new_job(user="bob")))
    adopt, asked = world.machine.adopt, asyncio.Event()

    def broken(*args: Any, **kwargs: Any) -> bool:
        loop.call_soon_threadsafe(asked.set)
        raise fault

    monkeypatch.setattr(world.machine, "adopt", broken)
    watch._look_s = 0.01

    async def history() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        watching = asyncio.create_task(watch.run())
        await asked.wait()
        await plan_once(manager)
        assert manager.queue.jobs[waiting.id].state is State.QUEUED
        monkeypatch.setattr(world.machine, "adopt", adopt)
        async with asyncio.timeout(5):
            while manager.room.unknown:
                await asyncio.sleep(0.01)
        assert not watching.done()
        watching.cancel()

    loop: asyncio.AbstractEventLoop
    world.run(history())

    assert manager.queue.jobs[job.id].state is State.RUNNING


def test_what_carries_the_mark_of_a_job_that_was_only_admitted_keeps_its_gpus_from_others(world: World) -> None:
    """A restored backup: the job ran when the copy was older, and is launched only once its old processes are gone."""
    office = world.office()
    world.lead(office)
    job = admitted(world, office)
    old = world.machine.fork(job.key, 7, ("dgx2-3",), notebook=True)

    world.run(office.watch.look())

    assert [stray.key for stray in office.watch.strays] == [job.key]
    (device,) = [device for node in office.manager.room.nodes for device in node.devices if device.id == "dgx2-3"]
    assert device.foreign

    async def permit() -> None:
        asking = asyncio.create_task(office.launching.permit(job.id, version=None))
        while not asking.done():
            await office.watch.look()
            await asyncio.sleep(0)
        await asking

    world.run(permit())
    assert old not in world.machine.alive

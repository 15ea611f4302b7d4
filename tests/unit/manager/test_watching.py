"""What a look at the machine means, also when the machine says nothing for a while."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from gpuqueue_spawner.capacity import CapacityUnavailable
from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.manager.watching import REST
from gpuqueue_spawner.model import End, Job, Node, State

from .world import World, new_job


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


# ---- a large cluster, where something always changes -----------------------------------------------------------------


def test_the_longer_a_look_takes_the_longer_is_the_rest_after_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that looks never fill a core; and a rest is never longer than a look would be waited for anyway."""
    office = world.office()
    world.lead(office)
    watch, look, now = office.watch, world.machine.look, 0.0

    def rest_after(seconds: float) -> float:
        asked, watch._rests_until = asyncio.Event(), -1.0

        def slow() -> Any:
            nonlocal now
            now += seconds
            loop.call_soon_threadsafe(asked.set)
            return look()

        async def watched() -> float:
            nonlocal loop
            loop = asyncio.get_running_loop()
            watching = asyncio.create_task(watch.run())
            await asked.wait()
            async with asyncio.timeout(10):
                while watch._rests_until == -1.0:
                    await asyncio.sleep(0.01)
            watching.cancel()
            return watch._rests_until - now

        monkeypatch.setattr(world.machine, "look", slow)
        return world.run(watched())

    loop: asyncio.AbstractEventLoop
    monkeypatch.setattr(watch, "_clock", lambda: now)

    assert rest_after(0.01) == pytest.approx(REST * 0.01)
    assert rest_after(10.0) == pytest.approx(watch._look_s)


def test_while_it_rests_only_the_end_of_a_job_is_looked_at_at_once(world: World) -> None:
    """Whoever waits for its GPUs waits for no rest."""
    office = world.office()
    world.lead(office)
    watch = office.watch
    job = running(world, office)

    async def rings() -> bool:
        watch.ring.clear()
        watch._rests_until = watch._clock() + 3600
        watch._changed()
        return watch.ring.is_set()

    assert not world.run(rings())
    world.run(office.manager.decide(job.id, lambda job: decisions.stop(job, now=world.now, by="ada", end=End.STOPPED)))
    assert world.run(rings())


def test_what_changes_while_it_rests_is_looked_at_once_it_has_rested_each_time(world: World) -> None:
    """However much it is."""
    office = world.office()
    world.lead(office)
    watch = office.watch

    async def rings() -> bool:
        watch.ring.clear()
        watch._rests_until = watch._clock() + 0.05
        for _ in range(3):
            watch._changed()
        assert not watch.ring.is_set()
        async with asyncio.timeout(20):
            return await watch.ring.wait()

    assert world.run(rings())
    assert world.run(rings())


def test_while_the_planner_rests_only_what_jobs_do_wakes_it_at_once(world: World) -> None:
    """What others do to the room is planned with after the rest."""
    office = world.office()
    world.lead(office)
    manager = office.manager
    manager.plan_rests_until = time.monotonic() + 3600
    world.machine.nodes = world.machine.nodes[:1]

    async def look() -> bool:
        manager.wake.clear()
        await office.watch.look()
        return manager.wake.is_set()

    assert not world.run(look())
    assert len(manager.room.nodes) == 1
    world.run(manager.submit(new_job()))
    assert manager.wake.is_set()


def test_that_it_becomes_known_what_is_free_is_told_to_everybody_without_a_rest(world: World) -> None:
    """Where only a node changed, whoever waits is told later."""
    office = world.office()
    world.lead(office)
    manager, nodes = office.manager, office.manager.room.nodes

    async def stirs(*, nodes: tuple[Node, ...] | None = None, unknown: str = "") -> bool:
        manager.plan_rests_until = manager.outlook_rests_until = time.monotonic() + 3600
        manager.stirred.clear()
        office.watch._show(nodes=nodes, unknown=unknown)
        return manager.stirred.is_set()

    assert not world.run(stirs(nodes=nodes[:1]))
    assert world.run(stirs(unknown="The cluster does not answer."))
    assert world.run(stirs(nodes=nodes))

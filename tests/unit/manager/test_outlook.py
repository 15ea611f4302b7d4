"""Who starts now waits for no plan of the whole line, however long that takes; the others are told after it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gpuqueue_spawner.manager import decisions, outlook
from gpuqueue_spawner.manager.manager import Manager
from gpuqueue_spawner.manager.outlook import outlook_loop
from gpuqueue_spawner.manager.planning import plan_loop, plan_once
from gpuqueue_spawner.model import State
from gpuqueue_spawner.scheduling import plan

from .world import World, new_job

SOON_S = 20  # on a slow machine


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.01)


def states(manager: Manager) -> list[State]:
    return [job.state for _, job in sorted(manager.queue.jobs.items())]


def test_who_fits_is_admitted_while_a_plan_of_the_whole_line_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the plan, which was made of what was so before, gives nobody a place who has none."""
    office = world.office()
    world.lead(office)
    manager, begun, go_on = office.manager, threading.Event(), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Any:
        made = plan(*args, **kwargs)
        begun.set()
        assert go_on.wait(SOON_S)
        return made

    async def history() -> None:
        async with asyncio.TaskGroup() as tasks:
            planning = tasks.create_task(outlook_loop(manager))
            await until(begun.is_set)
            admitting = tasks.create_task(plan_loop(manager))
            for user in ("ada", "bob", "cleo"):
                await manager.submit(new_job(user=user, gpus=4))
            await until(lambda: states(manager) == [State.ADMITTED, State.ADMITTED, State.QUEUED])
            assert not manager.queue.standings
            go_on.set()
            await until(lambda: bool(manager.queue.standings))
            planning.cancel()
            admitting.cancel()

    monkeypatch.setattr(outlook, "plan", slow)
    world.run(history())

    (standing,) = manager.queue.standings.values()
    assert (standing.wait.job, standing.wait.place, standing.wait.of) == (3, 1, 1)


def test_a_long_plan_waits_while_a_job_is_on_its_way_out_or_in(world: World) -> None:
    """Once it is gone everything changes again; a short plan is made at once, and no plan waits for ever."""
    office = world.office()
    world.lead(office)
    manager = office.manager
    job, _ = world.run(manager.submit(new_job()))
    world.run(plan_once(manager))

    def settles(took: float) -> float:
        async def timed() -> float:
            begun = asyncio.get_running_loop().time()
            await outlook._settle(manager, took)
            return asyncio.get_running_loop().time() - begun

        return world.run(timed())

    assert manager.queue.jobs[job.id].state is State.ADMITTED
    assert settles(0.05) >= outlook.PASSING * 0.05
    world.run(manager.decide(job.id, lambda job: decisions.launch(job, version=None)))
    assert settles(30.0) < outlook.PASSING_MAX_S
    world.run(manager.decide(job.id, lambda job: decisions.stop(job, now=world.now)))
    assert manager.queue.jobs[job.id].state is State.STOPPING
    assert settles(0.05) >= outlook.PASSING * 0.05
    assert settles(30.0) >= outlook.PASSING_MAX_S

    world.run(manager.decide(job.id, lambda job: decisions.gone(job, now=world.now, retry_delay=0)))
    assert settles(30.0) < outlook.PASSING_MAX_S

"""A write whose answer got lost: it was made or not, and whoever looks a moment later sees which."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.store import StoreUnavailable

from .world import World, new_job


@pytest.mark.parametrize("made", [True, False])
def test_the_next_pass_finds_out_what_became_of_it(world: World, monkeypatch: pytest.MonkeyPatch, made: bool) -> None:
    """Also when nothing else is written: its owner must not be shown a request that waits and was cancelled."""
    office = world.office()
    world.lead(office)
    manager, apply = office.manager, office.manager.db.store.jobs.apply
    job, _ = world.run(manager.submit(new_job(gpus=4)))
    manager.wake.clear()

    def lost(*args: Any, **kwargs: Any) -> Any:
        if made:
            apply(*args, **kwargs)
        raise StoreUnavailable("the answer was lost")

    monkeypatch.setattr(manager.db.store.jobs, "apply", lost)
    with pytest.raises(StoreUnavailable):
        _cancel(world, office, job.id)
    assert manager.wake.is_set()
    monkeypatch.setattr(manager.db.store.jobs, "apply", apply)

    with manager.changes.subscribe() as changes:
        world.run(plan_once(manager))

        assert job.id in world.run(changes.next())
    assert (job.id in manager.queue.jobs) != made


def test_a_database_that_hangs_gathers_no_crowd(world: World) -> None:
    """Each request would wait for all before it, and the Hub repeats them: they are told at once that it is away."""
    office = world.office()
    world.lead(office)
    manager = office.manager
    manager.db.limit = 0.2
    going_on = threading.Event()

    async def ask() -> float:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await manager.submit(new_job())
        return time.monotonic() - begun

    async def crowd() -> list[float]:
        hanging = asyncio.create_task(manager.db.call(going_on.wait))
        waits = await asyncio.gather(*(ask() for _ in range(20)))
        going_on.set()
        with pytest.raises(StoreUnavailable):
            await hanging
        return waits

    assert max(world.run(crowd())) < 2.0  # one after the other, they would take 4 s


def _cancel(world: World, office: Office, job_id: int) -> None:
    world.run(office.manager.decide(job_id, lambda job: decisions.cancel(job, now=world.now, by="alice")))

"""A manager that was paused wakes up with an old memory; another one led on meanwhile. It touches nothing."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import End, Job, State
from gpuqueue_spawner.store import LeaseLost

from .world import World, new_job


def launched(world: World, office: Office) -> Job:
    """Admit what waits, and launch it."""
    world.run(plan_once(office.manager))
    (job,) = office.manager.queue.jobs.values()
    assert job.placement is not None
    job = world.run(office.manager.decide(job.id, lambda job: decisions.launch(job, version=None)))
    assert job.placement is not None
    pid = world.machine.fork(job.key, job.launch, job.placement.devices, notebook=True)
    return world.run(
        office.manager.decide(job.id, lambda job: decisions.claim(job, launch=job.launch, pid=pid, started=pid))
    )


def test_it_ends_no_process_of_a_job_that_was_launched_anew(world: World) -> None:
    former, leader = world.office(), world.office(retry_delay=0)
    world.lead(former)
    world.run(former.manager.submit(new_job()))
    job = launched(world, former)
    failed = world.run(
        former.manager.decide(job.id, lambda job: decisions.failed(job, launch=job.launch, message="mute", retries=2))
    )
    world.machine.end(job.key, grace=0)
    world.lead(leader)
    launched(world, leader)

    with pytest.raises(LeaseLost):
        world.run(former.ending._end(failed))

    assert world.machine.alive


def test_it_stops_no_server_that_was_started_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    former, leader = world.office(), world.office()
    world.lead(former)
    world.run(former.manager.submit(new_job()))
    job = launched(world, former)
    world.run(former.manager.decide(job.id, lambda job: decisions.ready(job, launch=job.launch, now=world.now)))
    restarting = world.run(former.manager.decide(job.id, lambda job: decisions.restart(job, by="alice")))
    world.lead(leader)
    asked = []

    async def stop_server(user: str, server: str) -> bool:
        asked.append((user, server))
        return True

    monkeypatch.setattr(former.resume.hub, "stop_server", stop_server)

    with pytest.raises(LeaseLost):
        world.run(former.resume._post(restarting))

    assert asked == []


def test_a_server_that_is_stopped_while_it_restarts_is_not_started(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub takes seconds to stop it; its owner changes their mind meanwhile."""
    office = world.office()
    world.lead(office)
    manager = office.manager
    world.run(manager.submit(new_job()))
    job = launched(world, office)
    world.run(manager.decide(job.id, lambda job: decisions.ready(job, launch=job.launch, now=world.now)))
    world.run(manager.decide(job.id, lambda job: decisions.restart(job, by="alice")))
    started = []

    async def stop_server(user: str, server: str) -> bool:
        await manager.decide(job.id, lambda job: decisions.stop(job, now=world.now, by="alice"))
        return True

    async def start_server(*asked: object) -> None:
        started.append(asked)

    monkeypatch.setattr(office.resume.hub, "stop_server", stop_server)
    monkeypatch.setattr(office.resume.hub, "start_server", start_server)
    monkeypatch.setattr("gpuqueue_spawner.manager.resume.RESTART_GRACE_S", 0.0)

    async def look() -> None:
        with office.hubs.connected("hub-one-of-one", []):
            await office.resume.look()

    world.run(look())

    assert started == []
    assert (manager.queue.jobs[job.id].state, manager.queue.jobs[job.id].end) == (State.STOPPING, End.STOPPED)

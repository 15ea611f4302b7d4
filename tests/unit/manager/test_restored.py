"""After a restored backup: what runs is taken over or shown, never ended, and what it uses is given to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from gpuqueue_spawner.manager import decisions, finding
from gpuqueue_spawner.manager.hub import Started
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import End, Job, State

from .world import World, new_job


@pytest.fixture
def office(world: World, monkeypatch: pytest.MonkeyPatch) -> Office:
    """A manager whose Hub runs every server that it is asked to start, and must not be asked to stop one."""
    it = world.office()
    world.lead(it)

    async def start_server(user: str, server: str, options: Any) -> tuple[Started, str]:
        return Started.RUNNING, f"{user} is already running"

    async def stop_server(user: str, server: str) -> bool:
        raise AssertionError(f"the server of {user} was stopped")

    monkeypatch.setattr(it.resume.hub, "start_server", start_server)
    monkeypatch.setattr(it.resume.hub, "stop_server", stop_server)
    monkeypatch.setattr("gpuqueue_spawner.manager.resume.GRACE_S", 0.0)
    monkeypatch.setattr("gpuqueue_spawner.manager.resume.RESTART_GRACE_S", 0.0)
    return it


def look(world: World, office: Office) -> None:
    """At the machine, then at the Hub."""

    async def once() -> None:
        await office.watch.look()
        office.resume._patience.clear()  # as if enough time had passed since the last try
        with office.hubs.connected("hub-one-of-one", []):
            await office.resume.look()
        await office.watch.look()

    world.run(once())


def in_state(world: World, office: Office, state: State, **wish: Any) -> Job:
    """A job that came as far as this before the copy was made."""
    manager = office.manager
    job, _ = world.run(manager.submit(new_job(**wish)))

    def decide(decision: Any) -> None:
        world.run(manager.decide(job.id, decision))

    if state is State.HELD:
        decide(lambda job: decisions.hold(job, by="dana", note="wait"))
    elif state is not State.QUEUED:
        world.run(plan_once(manager))
        if state is not State.ADMITTED:
            decide(lambda job: decisions.launch(job, version=None))
        if state in (State.RUNNING, State.RESTARTING):
            decide(lambda job: decisions.claim(job, launch=1, pid=7, started=7))
            decide(lambda job: decisions.ready(job, launch=1, now=world.now))
        if state is State.RESTARTING:
            decide(lambda job: decisions.restart(job, by="alice"))
    found = manager.queue.jobs[job.id]
    assert found.state is state
    return found


@pytest.mark.parametrize("devices", [("dgx1-0",), ("dgx2-3",)], ids=["same-gpu", "another-gpu"])
@pytest.mark.parametrize(
    "state", [State.QUEUED, State.HELD, State.ADMITTED, State.STARTING, State.RESTARTING, State.RUNNING]
)
def test_what_runs_is_taken_over_as_it_runs(
    world: World, office: Office, state: State, devices: tuple[str, ...]
) -> None:
    """Its processes tell launch and GPUs; from then on it has a lease and is a job like any other."""
    job = in_state(world, office, state)
    server = world.machine.fork(job.key, 3, devices, notebook=True)
    kernel = world.machine.fork(job.key, 3, devices, notebook=True)

    look(world, office)

    after = office.manager.queue.jobs[job.id]
    assert after.state is State.RUNNING
    assert (after.launch, after.pid, after.ends is not None) == (3, server, True)
    assert after.placement is not None
    assert after.placement.devices == devices
    assert {server, kernel} <= world.machine.alive.keys()
    assert not office.watch.strays
    assert not office.watch.lost


def test_a_launch_that_the_copy_knows_is_ready(world: World, office: Office) -> None:
    """The copy was made between the permit and the first answer."""
    job = in_state(world, office, State.STARTING)
    assert job.placement is not None
    server = world.machine.fork(job.key, 1, job.placement.devices, notebook=True)

    look(world, office)

    after = office.manager.queue.jobs[job.id]
    assert (after.state, after.launch, after.pid) == (State.RUNNING, 1, server)
    assert after.placement == job.placement


def test_gpus_that_the_copy_gives_to_another_job_are_taken_over_once_that_one_has_ended(
    world: World, office: Office
) -> None:
    """Whoever held them in the copy has no process any more; until that is found out nothing moves."""
    before = in_state(world, office, State.RUNNING, user="bob")
    assert before.placement is not None
    job = in_state(world, office, State.QUEUED)
    server = world.machine.fork(job.key, 1, before.placement.devices, notebook=True)

    look(world, office)
    assert office.manager.queue.jobs[job.id].state is State.QUEUED
    assert (before.id, 1) in office.watch.lost

    world.run(office.manager.decide(before.id, lambda job: decisions.exited(job, launch=1, status=None, now=world.now)))
    look(world, office)
    look(world, office)

    after = office.manager.queue.jobs[job.id]
    assert (after.state, after.placement, after.pid) == (State.RUNNING, before.placement, server)


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD, State.ADMITTED, State.STARTING, State.RESTARTING])
def test_what_another_server_has_replaced_since_ends_and_the_other_one_runs_on(
    world: World, office: Office, state: State
) -> None:
    """One server of a name at a time: the one that the copy knows has ended. The other is shown, and keeps its GPUs."""
    job = in_state(world, office, state)
    server = world.machine.fork("a-later-job", 1, ("dgx2-3",), notebook=True)

    for _ in range(4):  # what may have had a process gives its GPUs back first
        look(world, office)
        world.now += 60

    assert job.id not in office.manager.queue.jobs
    ended = office.manager.queue.ended[job.id]
    assert (ended.end, ended.message) == (End.CANCELLED, finding.REPLACED)
    assert server in world.machine.alive
    assert [stray.key for stray in office.watch.strays] == ["a-later-job"]


def test_a_forged_mark_gets_nobody_more_gpus(world: World, office: Office) -> None:
    """A process that claims four, of a job that asked for one."""
    job = in_state(world, office, State.RUNNING)
    assert job.placement is not None
    world.machine.fork(job.key, 2, tuple(f"dgx2-{index}" for index in range(4)), notebook=True)

    look(world, office)

    assert office.manager.queue.jobs[job.id].placement == job.placement

"""A job that the Hub lost is handed back to it; what its owner cancels meanwhile stays cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.decisions import Refused
from gpuqueue_spawner.manager.hub import Started
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import State

from .world import World, new_job


def hand_back(world: World, office: Office, monkeypatch: pytest.MonkeyPatch, answer: Started) -> None:
    """Post again what no Hub holds."""

    async def start_server(user: str, server: str, options: Any) -> tuple[Started, str]:
        return answer, ""

    monkeypatch.setattr(office.resume.hub, "start_server", start_server)
    monkeypatch.setattr("gpuqueue_spawner.manager.resume.GRACE_S", 0.0)

    async def look() -> None:
        with office.hubs.connected("hub-one-of-one", []):
            await office.resume.look()

    world.run(look())


@pytest.mark.parametrize(
    ("answer", "after", "comes_back"),
    [
        (Started.ACCEPTED, 1.0, False),
        (Started.REFUSED, 1.0, True),
        (Started.ACCEPTED, 60.0, True),
    ],
    ids=["cancelled-meanwhile", "hub-refused", "long-ago"],
)
def test_what_is_cancelled_while_the_hub_starts_it_again_stays_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Started, after: float, comes_back: bool
) -> None:
    """The Hub's request finds no open job then, and nobody asked for another; a later one is its owner's own."""
    office = world.office()
    world.lead(office)
    job, _ = world.run(office.manager.submit(new_job()))
    hand_back(world, office, monkeypatch, answer)
    world.run(office.manager.decide(job.id, lambda job: decisions.cancel(job, now=world.now, by="alice")))
    world.now += after

    if comes_back:
        assert world.run(office.manager.submit(new_job(request="another-request")))[1]
    else:
        for _ in range(2):  # the answer may be lost: the same request is asked again
            with pytest.raises(Refused, match=rf"This request was cancelled: job {job.id}\."):
                world.run(office.manager.submit(new_job(request="another-request")))
            world.now += 10
        assert world.run(office.manager.submit(new_job(request="one-more-request")))[1], "its owner's own"


def test_what_still_waits_is_attached_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = world.office()
    world.lead(office)
    job, _ = world.run(office.manager.submit(new_job()))
    hand_back(world, office, monkeypatch, Started.ACCEPTED)

    again, created = world.run(office.manager.submit(new_job(request="another-request")))

    assert (again.id, created) == (job.id, False)


@pytest.mark.parametrize(
    ("lives", "later", "again"),
    [(True, 30.0, True), (False, 30.0, False), (True, 3600.0, False), (True, -3600.0, False)],
    ids=["lost-by-the-hub", "ended", "long-ago", "clock-set-back"],
)
def test_a_young_server_that_the_hub_does_not_know_is_started_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, lives: bool, later: float, again: bool
) -> None:
    """The Hub died before it stored it. One that ended, or that somebody took away later, is left as it is."""
    monkeypatch.setattr("gpuqueue_spawner.manager.resume.COMPARE_S", 0.0)
    office = world.office()
    world.lead(office)
    manager = office.manager
    job, _ = world.run(manager.submit(new_job()))
    world.run(plan_once(manager))
    pid = world.machine.fork(job.key, 1, ("dgx1-0",), notebook=True)
    for decision in (
        lambda job: decisions.launch(job, version=None),
        lambda job: decisions.claim(job, launch=1, pid=pid, started=pid),
        lambda job: decisions.ready(job, launch=1, now=world.now),
    ):
        world.run(manager.decide(job.id, decision))
    world.now += later
    if not lives:
        del world.machine.alive[pid]

    async def look() -> None:
        with office.hubs.connected("hub-one-of-one", []):
            for _ in range(2):
                await office.watch.look()
                await office.resume.look()

    world.run(look())

    assert manager.queue.jobs[job.id].state is (State.RESTARTING if again else State.RUNNING)

"""A later start of the same server attaches to its open job, and shares its fate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuqueue_spawner.manager import Refused, decisions
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.model import State

from .world import World, new_job


def test_what_was_cancelled_does_not_come_back_with_a_repeated_request(world: World) -> None:
    """The Hub restarted, its new start() attached; its owner cancels, and the start() asks again what became of it."""
    office = world.office()
    world.lead(office)
    manager = office.manager
    first = new_job()
    job, _ = world.run(manager.submit(first))
    again = replace(first, request="the new Hub's own")
    attached, created = world.run(manager.submit(again))
    assert (attached.id, created) == (job.id, False)

    world.run(manager.decide(job.id, lambda job: decisions.cancel(job, now=world.now, by="alice")))
    answered, created = world.run(manager.submit(again))

    assert (answered.id, answered.state, created) == (job.id, State.ENDED, False)
    assert not manager.queue.jobs


def test_other_options_for_an_admitted_job_do_not_pass_the_limit(world: World) -> None:
    """The admitted one is none of those that wait, until it is replaced."""
    office = world.office(queued_jobs=1)
    world.lead(office)
    manager = office.manager
    world.run(manager.submit(new_job(server="first", gpus=1)))
    world.run(plan_once(manager))
    world.run(manager.submit(new_job(server="second", gpus=1)))

    with pytest.raises(Refused, match="1 are allowed"):
        world.run(manager.submit(new_job(server="first", gpus=2)))

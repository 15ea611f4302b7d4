"""Nodes that a job may not use, from the request to its launch. On a real database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.decisions import Refused
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import Constraints, Job, ReasonCode, State, Taint, Toleration

from .world import World, new_job

POOL = Constraints(selector=(("pool", "a100"),))
TOLERANT = Constraints(tolerations=(Toleration(key="t"),))
TAINTED: dict[str, Any] = {"taints": (Taint(key="t"),), "note": "tainted t"}
A100: dict[str, Any] = {"labels": {"pool": "a100"}}


def nodes_are(world: World, office: Office, **more: dict[str, Any]) -> None:
    """Change the nodes, and let the manager see it."""
    world.machine.nodes = tuple(replace(node, **more.get(node.name, {})) for node in world.machine.nodes)
    world.run(office.watch.look())


def submitted(world: World, office: Office, demand: Constraints, user: str = "alice") -> Job:
    job, _ = world.run(office.manager.submit(replace(new_job(user), constraints=demand)))
    world.run(plan_once(office.manager))
    return office.manager.queue.jobs[job.id]


def test_a_request_for_a_kind_of_node_that_there_is_not_is_refused(world: World, office: Office) -> None:
    with pytest.raises(Refused, match=r"no server of the kind that it asks for \(pool=a100\)"):
        submitted(world, office, POOL)


def test_a_request_goes_to_its_kind_of_node(world: World, office: Office) -> None:
    nodes_are(world, office, dgx2=A100)

    job = submitted(world, office, POOL)

    assert job.placement is not None
    assert job.placement.node == "dgx2"


def test_a_request_that_only_taints_keep_out_is_taken_and_starts_when_they_are_gone(
    world: World, office: Office
) -> None:
    """It holds up nobody meanwhile."""
    nodes_are(world, office, dgx1=TAINTED, dgx2=TAINTED)

    kept_out, welcome = submitted(world, office, Constraints()), submitted(world, office, TOLERANT, "bob")

    assert (kept_out.state, welcome.state) == (State.QUEUED, State.ADMITTED)
    assert office.manager.queue.standings[kept_out.id].wait.reason.code is ReasonCode.NEVER_FITS
    nodes_are(world, office, dgx1={"taints": (), "note": ""})
    world.run(plan_once(office.manager))
    assert office.manager.queue.jobs[kept_out.id].state is State.ADMITTED


@pytest.mark.parametrize(
    ("change", "demand", "words"),
    [
        (TAINTED, Constraints(), "is tainted t"),
        ({"labels": {}}, POOL, "is not of the kind that it asks for any more"),
    ],
    ids=["tainted", "another label"],
)
def test_a_node_that_was_closed_to_a_job_since_its_admission_is_not_launched_on(
    world: World, office: Office, change: dict[str, Any], demand: Constraints, words: str
) -> None:
    """It goes back to its place, rather than to fail its launches."""
    nodes_are(world, office, dgx1=A100, dgx2=A100)
    job = submitted(world, office, demand)
    assert job.placement is not None
    nodes_are(world, office, **{job.placement.node: change})

    with pytest.raises(Refused, match=words):
        world.run(office.launching.permit(job.id, version=None))

    assert office.manager.queue.jobs[job.id].failures == 0
    assert office.manager.queue.jobs[job.id].state in (State.STOPPING, State.QUEUED)


def test_a_launch_on_a_tainted_node_that_is_tolerated_is_permitted(world: World, office: Office) -> None:
    nodes_are(world, office, dgx1=TAINTED, dgx2=TAINTED)
    job = submitted(world, office, TOLERANT)

    assert world.run(office.launching.permit(job.id, version=None)).launch == 1


def test_the_same_request_with_another_demand_keeps_its_place(world: World, office: Office) -> None:
    """The site changed its profile; the job goes by the new one."""
    nodes_are(world, office, dgx1={"drained": True}, dgx2={"drained": True, **A100})
    job = submitted(world, office, Constraints())

    world.run(office.manager.submit(replace(new_job(request="another request"), constraints=POOL)))

    now = office.manager.queue.jobs[job.id]
    assert (now.constraints, now.queued) == (POOL, job.queued)


def test_what_a_job_demands_is_known_to_the_next_manager(world: World, office: Office) -> None:
    nodes_are(world, office, dgx1={"drained": True}, dgx2={"drained": True, **A100})
    job = submitted(world, office, POOL)

    following = world.office()
    world.lead(following)

    assert following.manager.queue.jobs[job.id].constraints == POOL


# ---- a drain that comes after the admission --------------------------------------------------------------------------


def drained(world: World, office: Office, job: Job, *, by: str, note: str = "New driver at 18:00.") -> None:
    assert job.placement is not None
    world.run(office.manager.mark_node(job.placement.node, drained=True, note=note, by=by))


def test_a_node_that_an_admin_drains_after_the_admission_is_not_launched_on(world: World, office: Office) -> None:
    """It takes nothing new: the request goes back to its place, and its note says why."""
    job = submitted(world, office, Constraints())
    drained(world, office, job, by="dana")

    with pytest.raises(Refused, match="dgx1 is drained: New driver at 18:00"):
        world.run(office.launching.permit(job.id, version=None))
    world.run(office.watch.look())
    world.now += 3600
    world.run(plan_once(office.manager))

    job = office.manager.queue.jobs[job.id]
    assert job.placement is not None
    assert (job.state, job.placement.node, job.failures) == (State.ADMITTED, "dgx2", 0)
    assert job.message == "Not started: dgx1 is drained: New driver at 18:00."


def test_a_drain_is_known_though_nodes_cannot_be_looked_at(world: World, office: Office) -> None:
    job = submitted(world, office, Constraints())
    drained(world, office, job, by="dana", note="")
    office.manager.room.unknown = "No answer."

    with pytest.raises(Refused, match=r"dgx1 is drained$"):
        world.run(office.launching.permit(job.id, version=None))


@pytest.mark.parametrize("by", ["dana", ""], ids=["by an admin", "for it was lost"])
def test_what_ran_on_a_drained_node_starts_anew_there_only_where_an_admin_drained_it(
    world: World, office: Office, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drained node keeps its jobs. One that was lost, and is back, waits for somebody to look at it."""
    monkeypatch.setattr(world.machine, "ends", False)  # as of pods, which the Hub ends
    job = submitted(world, office, Constraints())
    world.run(office.launching.permit(job.id, version=None))
    world.run(office.manager.decide(job.id, lambda job: decisions.ready(job, launch=1, now=world.now)))
    world.run(office.manager.decide(job.id, lambda job: decisions.restart(job, by="alice")))
    drained(world, office, job, by=by, note="It was lost.")

    if by:
        assert world.run(office.launching.permit(job.id, version=None)).launch == 2
    else:
        with pytest.raises(Refused, match="dgx1 is drained: It was lost"):
            world.run(office.launching.permit(job.id, version=None))


def test_a_job_whose_launch_failed_is_tried_again_on_another_node_also_after_a_restart(world: World) -> None:
    """The fault may be the first node's; the next manager knows where it was."""
    office = world.office(retry_delay=5)
    world.lead(office)
    job = submitted(world, office, Constraints())
    assert job.placement is not None
    world.run(office.launching.permit(job.id, version=None))
    world.run(office.manager.decide(job.id, lambda job: decisions.failed(job, launch=1, message="OutOfgpu", retries=2)))
    world.run(office.watch.look())

    following = world.office()
    world.lead(following)
    world.now += 10
    world.run(plan_once(following.manager))

    again = following.manager.queue.jobs[job.id]
    assert again.placement is not None
    assert (job.placement.node, again.placement.node, again.failures) == ("dgx1", "dgx2", 1)

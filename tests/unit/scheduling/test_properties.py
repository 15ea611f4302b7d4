"""What holds in every world."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuqueue_spawner.model import ReasonCode, State
from gpuqueue_spawner.scheduling import Choice, Trial, plan, trials

from . import stepwise
from .builders import NOW, job
from .worlds import USERS, demands, no_limits, snapshots, wishes

PASSED_OVER = {ReasonCode.HOLD, ReasonCode.NEVER_FITS, ReasonCode.OWN_LIMIT, ReasonCode.NOT_BEFORE}

worlds = settings(max_examples=100)


def first_come(job):
    return job.queued, job.id


def after(snapshot, result):
    """The world once the admissions are written."""
    placements = {admission.job: admission.placement for admission in result.admissions}
    return replace(
        snapshot,
        jobs=tuple(
            replace(j, state=State.ADMITTED, placement=placements[j.id]) if j.id in placements else j
            for j in snapshot.jobs
        ),
    )


@worlds
@given(snapshots())
def test_no_device_is_promised_twice_and_none_that_is_not_free(snapshot):
    """Every device given out exists on the server, is not used from outside, and is held by nobody else."""
    held = {(j.placement.node, id) for j in snapshot.jobs if j.holding for id in j.placement.devices}
    devices = {(node.name, device.id): device for node in snapshot.nodes for device in node.devices}

    for admission in plan(snapshot, now=NOW).admissions:
        for id in admission.placement.devices:
            key = (admission.placement.node, id)
            assert not devices[key].foreign
            assert key not in held
            held.add(key)


@worlds
@given(snapshots())
def test_each_gets_the_devices_it_asked_for(snapshot):
    """As many of each kind, sorted by index, all on one server."""
    jobs = {j.id: j for j in snapshot.jobs}
    nodes = {node.name: {device.id: device for device in node.devices} for node in snapshot.nodes}

    for admission in plan(snapshot, now=NOW).admissions:
        given_out = [nodes[admission.placement.node][id] for id in admission.placement.devices]
        counts = {
            kind: sum(device.resource == kind for device in given_out) for kind in jobs[admission.job].resources.gpus
        }
        assert counts == dict(jobs[admission.job].resources.gpus)
        assert len(given_out) == jobs[admission.job].resources.gpu_count
        assert given_out == sorted(given_out, key=lambda device: device.index)


@worlds
@given(snapshots())
def test_no_server_is_filled_beyond_what_it_has_and_none_that_is_drained(snapshot):
    """Cores and memory of all jobs on a server that takes a new one are within what it can give."""
    result = plan(snapshot, now=NOW)

    jobs = [j for j in after(snapshot, result).jobs if j.holding]
    for node in snapshot.nodes:
        if any(admission.placement.node == node.name for admission in result.admissions):
            here = [j.resources for j in jobs if j.placement.node == node.name]
            assert not node.drained
            assert sum(resources.cpus for resources in here) <= node.allocatable.cpus
            assert sum(resources.memory for resources in here) <= node.allocatable.memory


@worlds
@given(snapshots())
def test_nobody_is_sent_to_a_server_that_is_not_of_the_kind_asked_for_or_keeps_it_out(snapshot):
    """Neither now nor in what is expected: labels and taints of each server against what each job demands."""
    jobs = {j.id: j for j in snapshot.jobs}
    nodes = {node.name: node for node in snapshot.nodes}

    result = plan(snapshot, now=NOW)

    for admission in result.admissions:
        assert stepwise.lets_in(nodes[admission.placement.node], jobs[admission.job])
    for id, wait in result.waits.items():
        if not any(stepwise.lets_in(node, jobs[id]) for node in snapshot.nodes):
            assert wait.start is None
            assert wait.reason.code in {ReasonCode.NEVER_FITS, ReasonCode.HOLD}


@worlds
@given(snapshots())
def test_nobody_gets_more_than_the_limits_allow(snapshot):
    """Who gets something holds no more than is allowed afterwards; GPUs count only for those who got some."""
    result = plan(snapshot, now=NOW)

    jobs = {j.id: j for j in after(snapshot, result).jobs}
    for admission in result.admissions:
        mine = [j for j in jobs.values() if j.holding and j.user == jobs[admission.job].user]
        if snapshot.limits.running_jobs is not None:
            assert len(mine) <= snapshot.limits.running_jobs
        if snapshot.limits.gpus is not None and jobs[admission.job].resources.gpu_count:
            assert sum(j.resources.gpu_count for j in mine) <= snapshot.limits.gpus


@worlds
@given(snapshots())
def test_nobody_passes_a_job_that_only_waits_for_room(snapshot):
    """Whoever starts left behind only jobs that something of their own keeps from starting."""
    result = plan(snapshot, now=NOW)

    jobs = {j.id: j for j in snapshot.jobs}
    for admission in result.admissions:
        for wait in result.waits.values():
            if first_come(jobs[wait.job]) < first_come(jobs[admission.job]):
                assert wait.reason.code in PASSED_OVER


@worlds
@given(snapshots())
def test_every_waiting_job_starts_or_has_a_place_and_a_reason(snapshot):
    """Places are 1 to n without a gap, in the order of the queue."""
    result = plan(snapshot, now=NOW)

    waiting = sorted((j for j in snapshot.jobs if j.waiting), key=first_come)
    starting = {admission.job for admission in result.admissions}
    staying = [j.id for j in waiting if j.id not in starting]
    assert starting | set(staying) == {j.id for j in waiting}
    assert list(result.waits) == staying
    assert [(w.job, w.place, w.of) for w in result.waits.values()] == [
        (id, place, len(staying)) for place, id in enumerate(staying, start=1)
    ]
    assert all(wait.reason.lead.endswith(".") for wait in result.waits.values())


@worlds
@given(snapshots(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(snapshot, chance: random.Random):
    """Same world, same plan: in the manager, in the simulator, after a restart."""
    shuffled = replace(
        snapshot,
        nodes=tuple(chance.sample(snapshot.nodes, len(snapshot.nodes))),
        jobs=tuple(chance.sample(snapshot.jobs, len(snapshot.jobs))),
    )

    assert plan(snapshot, now=NOW) == plan(shuffled, now=NOW)


@worlds
@given(snapshots())
def test_a_plan_is_complete(snapshot):
    """Once its admissions are written, planning again admits nobody and tells everybody the same."""
    first = plan(snapshot, now=NOW)

    again = plan(after(snapshot, first), now=NOW)

    assert again.admissions == ()
    assert again.waits == first.waits


@worlds
@given(snapshots())
def test_a_forecast_is_what_happens_step_by_step(snapshot):
    """Counted by brute force, each job is placed the same now and starts at the same moment later."""
    result = plan(snapshot, now=NOW)

    happens = list(stepwise.run(snapshot, now=NOW))
    starts = {j.id: at for at, j, _ in happens}
    in_plan = [(admission.job, admission.placement) for admission in result.admissions]
    assert in_plan == [(j.id, placement) for at, j, placement in happens][: len(in_plan)]
    assert {
        **dict.fromkeys((id for id, _ in in_plan), NOW),
        **{w.job: w.start for w in result.waits.values() if w.start},
    } == starts


@worlds
@given(snapshots(limits=no_limits, delays=False))
def test_estimated_starts_are_in_the_order_of_the_queue(snapshot):
    """Where nobody is passed over, nobody behind starts earlier, and behind one without an estimate there is none."""
    result = plan(snapshot, now=NOW)

    starts = [w.start for w in result.waits.values() if w.reason.code in {ReasonCode.ORDER, ReasonCode.RESOURCES}]
    known = [start for start in starts if start is not None]
    assert starts == known + [None] * (len(starts) - len(known))
    assert [NOW, *known] == sorted([NOW, *known])


@worlds
@given(snapshots(), st.sampled_from(USERS), st.lists(st.tuples(wishes, demands), min_size=1, max_size=3))
def test_a_trial_is_what_the_plan_would_say(snapshot, user, choices):
    """One more job is told what it is told once it has been submitted."""
    asked = [Choice(resources=resources, constraints=demand, lease=100.0) for resources, demand in choices]

    results = trials(snapshot, user=user, choices=asked, now=NOW)

    for (resources, demand), result in zip(choices, results, strict=True):
        newcomer = job(99, user=user, resources=resources, constraints=demand, lease=100.0, queued=NOW)
        told = plan(replace(snapshot, jobs=(*snapshot.jobs, newcomer)), now=NOW).waits.get(99)
        if told is None:
            assert result == Trial(start=NOW, reason=None)
        else:
            assert result.reason == told.reason
            assert result.start == (pytest.approx(told.start) if told.start else None)
            assert result.start is None or result.start > NOW


@worlds
@given(snapshots())
def test_unknown_capacity_admits_nobody_and_promises_nothing(snapshot):
    """Whatever the servers looked like when they were last seen."""
    result = plan(replace(snapshot, unknown="The servers do not answer."), now=NOW)

    assert result.admissions == ()
    assert all(wait.start is None for wait in result.waits.values())
    assert {w.reason.code for w in result.waits.values()} <= {
        ReasonCode.HOLD,
        ReasonCode.NEVER_FITS,
        ReasonCode.OWN_LIMIT,
        ReasonCode.CAPACITY_UNKNOWN,
    }

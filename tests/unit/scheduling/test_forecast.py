"""When those that wait would start."""

from __future__ import annotations

from gpuqueue_spawner.model import End, Placement, State
from gpuqueue_spawner.scheduling import Limits

from .builders import NOW, hours, job, node, plan_of, running

HOUR = 3600.0


def test_starts_follow_the_lease_ends():
    """The first in line starts when enough leases have ended, the next after the first one's own lease."""
    jobs = [
        running(1, on="dgx1", indexes=[0], hours=1),
        running(2, on="dgx1", indexes=[1], hours=2),
        job(3, gpus=2, lease=4 * HOUR),
        job(4, gpus=1),
    ]

    result = plan_of([node("dgx1", gpus=2)], jobs)

    assert hours(result) == {3: 2, 4: 6}


def test_what_starts_now_ends_after_its_lease():
    """Admissions of the same plan are part of its forecast."""
    result = plan_of([node("dgx1", gpus=1)], [job(1, gpus=1, lease=2 * HOUR), job(2, gpus=1)])

    assert hours(result) == {2: 2}


def test_a_lease_that_is_over_counts_as_ending_now():
    """Its notebook is still there, so nobody is admitted; but nobody waits for the past."""
    result = plan_of([node("dgx1", gpus=1)], [running(1, on="dgx1", indexes=[0], hours=-1), job(2, gpus=1)])

    assert result.admissions == ()
    assert hours(result) == {2: 0}


def test_a_job_that_has_not_started_its_lease_is_expected_to_use_all_of_it():
    """Admitted and starting jobs have no end yet."""
    on = Placement(node="dgx1", devices=("dgx1/0",))
    for state in (State.ADMITTED, State.STARTING):
        result = plan_of([node("dgx1", gpus=1)], [job(1, gpus=1, state=state, placement=on), job(2, gpus=1)])

        assert hours(result) == {2: 1}


def test_a_job_on_its_way_to_its_end_counts_as_ending_now():
    """It will be gone in seconds, whatever its lease says."""
    ending = running(1, on="dgx1", indexes=[0], hours=5, state=State.STOPPING, end=End.STOPPED)

    assert hours(plan_of([node("dgx1", gpus=1)], [ending, job(2, gpus=1)])) == {2: 0}


def test_a_job_on_its_way_back_to_the_queue_counts_as_running():
    """After a failed launch it is the first in line again, so those behind it gain nothing."""
    retried = running(1, on="dgx1", indexes=[0], ends=None, state=State.STOPPING)

    assert hours(plan_of([node("dgx1", gpus=1)], [retried, job(2, gpus=1)])) == {2: 1}


def test_held_and_impossible_jobs_have_no_estimate():
    """No data, no estimate."""
    result = plan_of([node("dgx1", gpus=1)], [job(1, state=State.HELD), job(2, gpus=2)])

    assert hours(result) == {1: None, 2: None}


def test_a_job_over_its_own_limit_starts_when_its_own_lease_ends():
    """The limit comes free with the user's own jobs, not with those of others."""
    jobs = [
        running(1, on="dgx1", indexes=[0], hours=1),
        running(2, on="dgx1", indexes=[1], hours=2, user="anna"),
        job(3, gpus=1, user="anna"),
    ]

    assert hours(plan_of([node("dgx1", gpus=8)], jobs, limits=Limits(gpus=1))) == {3: 2}


def test_a_job_that_waits_for_a_moment_starts_then():
    """At its old place: before those that came later and still wait."""
    jobs = [
        running(1, on="dgx1", indexes=[0], hours=2),
        job(2, gpus=1, not_before=NOW + HOUR),
        job(3, gpus=1),
    ]

    assert hours(plan_of([node("dgx1", gpus=1)], jobs)) == {2: 2, 3: 3}
    assert hours(plan_of([node("dgx1", gpus=2)], jobs)) == {2: 1}


def test_what_waits_for_a_gpu_in_foreign_use_has_no_estimate():
    """Nobody knows when it comes free; nor for those behind it."""
    result = plan_of([node("dgx1", gpus=2, foreign=[0])], [job(1, gpus=2), job(2, gpus=1)])

    assert hours(result) == {1: None, 2: None}


def test_what_comes_free_on_a_drained_server_starts_nobody():
    """A lease that ends there is not an answer."""
    jobs = [running(1, on="dgx1", indexes=[0], hours=1), running(2, on="dgx2", indexes=[0], hours=3), job(3, gpus=1)]

    assert hours(plan_of([node("dgx1", gpus=1, drained=True), node("dgx2", gpus=1)], jobs)) == {3: 3}


def test_a_held_gpu_that_others_use_too_does_not_come_free():
    """When its job ends, the other process is still there."""
    result = plan_of([node("dgx1", gpus=1, foreign=[0])], [running(1, on="dgx1", indexes=[0]), job(2, gpus=1)])

    assert hours(result) == {2: None}


def test_a_gpu_that_two_jobs_hold_comes_free_after_both():
    """The database forbids it; a plan made from a damaged one still promises no GPU twice."""
    twice = [running(n, on="dgx1", indexes=[0], hours=n) for n in (1, 2)]

    result = plan_of([node("dgx1", gpus=2, foreign=[1])], [*twice, job(3, gpus=1, lease=9 * HOUR), job(4, gpus=1)])

    assert hours(result) == {3: 2, 4: 11}

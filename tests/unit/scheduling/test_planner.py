"""Who starts, who stays, and at which place."""

from __future__ import annotations

from dataclasses import replace

from gpuqueue_spawner.model import Placement, ReasonCode, State
from gpuqueue_spawner.scheduling import Limits

from .builders import NOW, admitted, job, node, plan_of, running


def codes(result):
    """Job and reason code, of those that stay."""
    return {id: wait.reason.code for id, wait in result.waits.items()}


def test_an_empty_queue_is_an_empty_plan():
    """Nothing to do is said as such."""
    result = plan_of([node("dgx1", gpus=8)], [])

    assert result.admissions == ()
    assert result.waits == {}


def test_all_that_fit_start_in_order():
    """Admissions stand in the order of the queue, each with the lowest free indexes."""
    result = plan_of([node("dgx1", gpus=4)], [job(2, gpus=2), job(1, gpus=1)])

    assert [admission.job for admission in result.admissions] == [1, 2]
    assert [admission.placement.devices for admission in result.admissions] == [("dgx1/0",), ("dgx1/1", "dgx1/2")]


def test_first_come_is_by_place_and_then_by_number():
    """A job that was replaced has a new place; of two that came at the same moment the lower number is first."""
    jobs = [job(1, gpus=1, queued=50.0), job(2, gpus=1, queued=7.0), job(3, gpus=1, queued=7.0)]

    result = plan_of([node("dgx1", gpus=1)], jobs)

    assert list(admitted(result)) == [2]
    assert list(result.waits) == [3, 1]


def test_a_large_job_keeps_a_small_one_behind_it_waiting():
    """Strict order: nobody passes the first that does not fit."""
    result = plan_of([node("dgx1", gpus=4)], [running(1, on="dgx1", indexes=[0]), job(2, gpus=4), job(3, gpus=1)])

    assert admitted(result) == {}
    assert codes(result) == {2: ReasonCode.RESOURCES, 3: ReasonCode.ORDER}


def test_places_count_all_that_stay():
    """A held job keeps its place; an admitted one has none."""
    jobs = [job(1, gpus=1), job(2, state=State.HELD), job(3, gpus=1), job(4, gpus=1)]

    result = plan_of([node("dgx1", gpus=1)], jobs)

    assert [(wait.job, wait.place, wait.of) for wait in result.waits.values()] == [(2, 1, 3), (3, 2, 3), (4, 3, 3)]


def test_held_jobs_are_passed_over():
    """What an admin holds back keeps nobody else waiting."""
    result = plan_of([node("dgx1", gpus=1)], [job(1, gpus=1, state=State.HELD), job(2, gpus=1)])

    assert admitted(result) == {2: "dgx1"}


def test_jobs_that_fit_nowhere_are_passed_over():
    """The servers may have changed after it was accepted."""
    result = plan_of([node("dgx1", gpus=1)], [job(1, gpus=2), job(2, gpus=1)])

    assert admitted(result) == {2: "dgx1"}
    assert codes(result) == {1: ReasonCode.NEVER_FITS}


def test_jobs_over_a_limit_of_their_user_are_passed_over():
    """The limit counts what is admitted in the same plan; another user's job passes."""
    jobs = [job(1, gpus=2, user="anna"), job(2, gpus=1, user="anna"), job(3, gpus=1, user="ben")]

    result = plan_of([node("dgx1", gpus=8)], jobs, limits=Limits(gpus=2))

    assert admitted(result) == {1: "dgx1", 3: "dgx1"}
    assert codes(result) == {2: ReasonCode.OWN_LIMIT}


def test_a_smaller_job_of_a_user_starts_within_the_limit():
    """The limit is on GPUs, so that the job that fits under it is not kept back by the one that does not."""
    jobs = [
        running(1, on="dgx1", indexes=[0, 1], user="anna"),
        job(2, gpus=2, user="anna"),
        job(3, gpus=1, user="anna"),
        job(4, gpus=0, user="anna"),
    ]

    result = plan_of([node("dgx1", gpus=8)], jobs, limits=Limits(gpus=3))

    assert admitted(result) == {3: "dgx1", 4: "dgx1"}
    assert codes(result) == {2: ReasonCode.OWN_LIMIT}


def test_a_limit_that_was_lowered_stops_no_job_without_gpus():
    """Who holds more than is allowed now may still run what needs no GPU."""
    jobs = [running(1, on="dgx1", indexes=[0, 1], user="anna"), job(2, user="anna"), job(3, gpus=1, user="anna")]

    result = plan_of([node("dgx1", gpus=8)], jobs, limits=Limits(gpus=1))

    assert admitted(result) == {2: "dgx1"}
    assert codes(result) == {3: ReasonCode.OWN_LIMIT}


def test_jobs_over_the_limit_of_running_jobs_wait():
    """Every job counts, with GPUs or without, on a known server or not."""
    jobs = [running(1, on="gone", user="anna"), job(2, user="anna")]

    result = plan_of([node("dgx1", gpus=8)], jobs, limits=Limits(running_jobs=1))

    assert codes(result) == {2: ReasonCode.OWN_LIMIT}


def test_a_job_that_waits_for_a_moment_is_passed_over_until_then():
    """After a failed launch the others need not wait for the second try."""
    jobs = [job(1, gpus=1, not_before=NOW + 5), job(2, gpus=1)]

    result = plan_of([node("dgx1", gpus=2)], jobs)

    assert admitted(result) == {2: "dgx1"}
    assert codes(result) == {1: ReasonCode.NOT_BEFORE}
    assert list(admitted(plan_of([node("dgx1", gpus=2)], [replace(j, not_before=NOW) for j in jobs]))) == [1, 2]


def test_a_job_that_waits_for_a_moment_behind_others_says_so():
    """Of two reasons the first in the precedence is shown."""
    jobs = [running(1, on="dgx1", indexes=[0]), job(2, gpus=1), job(3, gpus=1, not_before=NOW + 5)]

    result = plan_of([node("dgx1", gpus=1)], jobs)

    assert codes(result) == {2: ReasonCode.RESOURCES, 3: ReasonCode.ORDER}


def test_unknown_capacity_admits_nobody():
    """Nothing is promised that may be gone; what is known without looking at a server is still said."""
    jobs = [job(1, gpus=1), job(2, state=State.HELD), job(3, gpus=9), job(4, gpus=1, user="anna"), job(5, user="anna")]
    jobs.append(running(6, on="dgx1", user="anna"))

    result = plan_of([node("dgx1", gpus=8)], jobs, unknown="The servers do not answer.", limits=Limits(running_jobs=1))

    assert admitted(result) == {}
    assert {wait.start for wait in result.waits.values()} == {None}
    assert list(codes(result).values()) == [
        ReasonCode.CAPACITY_UNKNOWN,
        ReasonCode.HOLD,
        ReasonCode.NEVER_FITS,
        ReasonCode.OWN_LIMIT,
        ReasonCode.OWN_LIMIT,
    ]


def test_before_the_first_look_at_the_servers_nothing_is_called_impossible():
    """No server was seen yet is not the same as there is none."""
    result = plan_of([], [job(1, gpus=1)], unknown="The servers have not been looked at yet.")

    assert codes(result) == {1: ReasonCode.CAPACITY_UNKNOWN}


def test_a_restarting_or_stopping_job_holds_its_gpus():
    """GPUs come back when the last process was seen gone, not before."""
    states = [State.ADMITTED, State.STARTING, State.RUNNING, State.RESTARTING, State.STOPPING]
    jobs = [running(n, on="dgx1", indexes=[n], state=state) for n, state in enumerate(states)]

    result = plan_of([node("dgx1", gpus=5)], [*jobs, job(9, gpus=1)])

    assert codes(result) == {9: ReasonCode.RESOURCES}


def test_a_job_on_a_device_or_server_that_is_gone_breaks_nothing():
    """A GPU may fall off the bus under a running job."""
    lost = running(1, on="dgx1", placement=Placement(node="dgx1", devices=("dgx1/99",)))

    result = plan_of([node("dgx1", gpus=1)], [lost, running(2, on="dgx9", indexes=[0]), job(3, gpus=1)])

    assert admitted(result) == {3: "dgx1"}

"""What a happening does to one job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpuqueue_spawner.manager import Refused, decisions
from gpuqueue_spawner.model import End, Event, InvalidTransition, Job, Placement, Resources, State

NOW = 1000.0
PLACE = Placement(node="dgx1", devices=("a",))


def job(state: State, **fields: Any) -> Job:
    holding = state not in (State.QUEUED, State.HELD, State.ENDED)
    base = Job(
        user="alice",
        server="",
        request="r" * 16,
        resources=Resources(cpus=1),
        lease=3600.0,
        id=7,
        key="k",
        state=state,
        version=3,
        submitted=1.0,
        queued=1.0,
        placement=PLACE if holding else None,
        launch=1,
    )
    return replace(base, **fields)


def test_stopping_what_has_no_process_ends_it_at_once() -> None:
    """Nothing can be left of a job that was never launched."""
    for state in (State.QUEUED, State.HELD, State.ADMITTED):
        change = decisions.stop(job(state), now=NOW, by="alice")

        assert change is not None
        assert change.event is Event.CANCEL
        assert change.fields["end"] is End.CANCELLED


def test_stopping_what_may_have_a_process_waits_until_it_is_gone() -> None:
    for state in (State.STARTING, State.RUNNING, State.RESTARTING):
        change = decisions.stop(job(state), now=NOW, by="alice")

        assert change is not None
        assert (change.event, change.fields["end"]) == (Event.STOP, End.STOPPED)


def test_the_first_end_stays() -> None:
    """A job that is on its way to one end gets no other."""
    assert decisions.stop(job(State.STOPPING, end=End.EXPIRED), now=NOW, by="alice") is None
    assert decisions.stop(job(State.ENDED, end=End.EXPIRED), now=NOW, by="alice") is None


def test_a_job_that_only_goes_back_to_the_queue_can_be_stopped() -> None:
    change = decisions.stop(job(State.STOPPING), now=NOW, by="alice")

    assert change is not None
    assert change.fields["end"] is End.STOPPED


def test_cancel_refuses_what_was_launched_and_names_what_is_possible() -> None:
    with pytest.raises(Refused) as refused:
        decisions.cancel(job(State.RUNNING), now=NOW, by="alice")

    assert refused.value.code == "gpuqueue.job.state"
    assert "stop" in refused.value.possible


def test_equal_options_keep_the_place_and_others_get_a_new_one() -> None:
    mine = job(State.QUEUED)

    assert decisions.replaced(mine, replace(mine, request="other request"), now=NOW) is None
    change = decisions.replaced(mine, replace(mine, options={"profile": "y"}), now=NOW)
    assert change is not None
    assert (change.event, change.fields["queued"]) == (Event.REPLACE, NOW)


def test_a_changed_profile_costs_nobody_their_place() -> None:
    """The Hub restarts with other profiles, and all that waits is posted again: same options, other amounts."""
    mine = job(State.QUEUED)

    change = decisions.replaced(mine, replace(mine, request="other request", resources=Resources(cpus=2)), now=NOW)

    assert change is not None
    assert change.fields["resources"] == Resources(cpus=2)
    assert "queued" not in change.fields


def test_a_new_start_of_a_running_job_means_that_the_hub_lost_it() -> None:
    """The process is ended and launched anew on the same GPUs; other options do not matter."""
    change = decisions.replaced(job(State.RUNNING), replace(job(State.RUNNING), options={"profile": "y"}), now=NOW)

    assert change is not None
    assert change.event is Event.RESTART


def test_a_later_launch_voids_an_earlier_claim() -> None:
    starting = job(State.STARTING, launch=2)

    with pytest.raises(Refused):
        decisions.claim(starting, launch=1, pid=5, started=9)
    assert decisions.claim(starting, launch=2, pid=5, started=9) is not None


def test_a_ticket_serves_one_process_only() -> None:
    claimed = job(State.STARTING, pid=5, pid_started=9)

    assert decisions.claim(claimed, launch=1, pid=5, started=9) is None
    with pytest.raises(Refused):
        decisions.claim(claimed, launch=1, pid=6, started=9)


@pytest.mark.parametrize("state", [state for state in State if state is not State.STARTING])
def test_nothing_but_a_starting_job_takes_a_claim(state: State) -> None:
    end = End.STOPPED if state is State.ENDED else None
    with pytest.raises(Refused):
        decisions.claim(job(state, end=end), launch=1, pid=5, started=9)


def test_a_failed_launch_is_tried_again_twice_and_then_is_the_end() -> None:
    first = decisions.failed(job(State.STARTING), launch=1, message="no", retries=2)
    last = decisions.failed(job(State.STARTING, failures=2), launch=1, message="no", retries=2)

    assert first is not None
    assert "end" not in first.fields
    assert last is not None
    assert last.fields["end"] is End.FAILED


def test_where_a_launch_failed_is_remembered_until_one_works_or_another_is_asked_for() -> None:
    """Each node once."""
    on = {"placement": Placement(node="dgx2", devices=("gpu-0",))}
    changes = [
        decisions.failed(job(State.STARTING, failed_on=before, **on), launch=1, message="no", retries=2)
        for before in ((), ("dgx1",), ("dgx2", "dgx3"))
    ]

    assert [change.fields["failed_on"] for change in changes if change] == [
        ("dgx2",),
        ("dgx1", "dgx2"),
        ("dgx2", "dgx3"),
    ]
    works = decisions.ready(job(State.STARTING, failed_on=("dgx1",)), launch=1, now=NOW)
    other = decisions.replaced(
        job(State.QUEUED, failed_on=("dgx1",)), replace(job(State.QUEUED), options={"a": 2}), now=NOW
    )
    assert works is not None
    assert works.fields["failed_on"] == ()
    assert other is not None
    assert other.fields["failed_on"] == ()


def test_a_restart_keeps_the_end_of_the_lease() -> None:
    again = job(State.STARTING, started=500.0, ends=4100.0)

    change = decisions.ready(again, launch=1, now=NOW)

    assert change is not None
    assert (change.fields["started"], change.fields["ends"]) == (500.0, 4100.0)


def test_extending_stops_at_the_sites_limit() -> None:
    running = job(State.RUNNING, ends=5000.0, extended=600.0)

    change = decisions.extend(running, by="alice", seconds=7200.0, limit=1000.0)

    assert change.fields["ends"] == 5400.0
    with pytest.raises(Refused):
        decisions.extend(replace(running, extended=1000.0), by="alice", seconds=7200.0, limit=1000.0)


def lease(it: Job, *, now: float, since: float = 0.0) -> decisions.Change | None:
    return decisions.lease(it, now=now, warning=600.0, since=since)


def test_a_lease_warns_then_ends() -> None:
    running = job(State.RUNNING, ends=5000.0)

    assert lease(running, now=4399.0) is None
    warned = lease(running, now=4400.0)
    assert warned is not None
    assert warned.event is Event.WARN
    told = replace(running, **warned.fields)
    assert lease(told, now=4999.0) is None
    ended = lease(told, now=5000.0)
    assert ended is not None
    assert ended.fields["end"] is End.EXPIRED


def test_a_lease_that_ran_out_unseen_gets_its_warning_time_anew() -> None:
    """Also when it was warned before the queue went away."""
    for warned in (None, 4400.0):
        running = job(State.RUNNING, ends=5000.0, warned=warned)

        change = lease(running, now=9000.0, since=9000.0)

        assert change is not None
        assert (change.event, change.fields["ends"]) == (Event.WARN, 9600.0)
        assert lease(replace(running, **change.fields), now=9599.0, since=9000.0) is None
        end = lease(replace(running, **change.fields), now=9600.0, since=9000.0)
        assert end is not None
        assert end.event is Event.STOP


def test_a_restart_that_never_comes_back_does_not_hold_its_gpus_for_ever() -> None:
    """Its lease ends it, after the time in which its owner would have been warned."""
    for state in (State.RESTARTING, State.STARTING):
        away = job(state, ends=5000.0)

        assert lease(away, now=5599.0) is None
        assert lease(away, now=5600.0, since=5300.0) is None  # nobody watched when it ended
        ended = lease(away, now=5600.0)
        assert ended is not None
        assert ended.fields["end"] is End.EXPIRED
        assert lease(replace(away, ends=None), now=9e9) is None


def test_a_launch_that_jupyterhub_gave_up_goes_back_to_its_place_without_a_failure() -> None:
    starting = job(State.STARTING, failures=2)

    change = decisions.unlaunch(starting, launch=1, message="refused")

    assert change is not None
    assert change.event is Event.STOP
    assert not {"end", "failures"} & change.fields.keys()
    assert decisions.unlaunch(starting, launch=2, message="refused") is None


def test_a_clock_that_went_back_ends_nothing() -> None:
    """Warned at a time that has not come yet by the new clock: warned again in good time."""
    running = job(State.RUNNING, ends=5000.0, warned=4400.0)

    assert lease(running, now=1400.0, since=1400.0) is None


def test_extending_what_does_not_run_names_the_state() -> None:
    with pytest.raises(InvalidTransition, match="queued"):
        decisions.extend(job(State.QUEUED), by="alice", seconds=1, limit=1)


@pytest.mark.parametrize(
    ("ahead", "waits"),
    [(5.0, 5.0), (5.1, -NOW), (3600.0, -NOW)],
    ids=["as-set", "just-over", "clock-set-back"],
)
def test_a_clock_that_was_set_back_makes_no_failed_launch_wait_for_longer_than_its_delay(
    ahead: float, waits: float
) -> None:
    """What lies further ahead than any delay was written by another clock."""
    waiting = job(State.QUEUED, not_before=NOW + ahead)

    assert decisions.not_before(waiting, now=NOW, retry_delay=5.0) - NOW == waits


@pytest.mark.parametrize(
    ("status", "booted", "end", "words"),
    [
        (0, 0.0, End.COMPLETED, "It was shut down from within."),
        (3, 0.0, End.FAILED, "The notebook ended with status 3."),
        (-9, 0.0, End.FAILED, "The notebook was ended by signal 9 (SIGKILL)."),
        (-200, 0.0, End.FAILED, "The notebook was ended by signal 200."),
        (None, 0.0, End.COMPLETED, decisions.UNSEEN),
        (None, 600.0, End.FAILED, "The machine was restarted."),
        (0, 600.0, End.COMPLETED, "It was shut down from within."),
    ],
)
def test_a_server_that_ended_by_itself_did_well_or_failed_by_its_status(
    status: int | None, booted: float, end: End, words: str
) -> None:
    """Where nobody saw the status, that is what is said: no failure is claimed, but for a machine that went down."""
    running = job(State.RUNNING, started=500.0)

    change = decisions.exited(running, launch=1, status=status, now=NOW, booted=booted)

    assert change is not None
    assert (change.event, change.fields["end"], change.fields["message"]) == (Event.STOP, end, words)
    assert change.by == ""


def test_the_end_of_another_launch_or_of_what_was_stopped_says_nothing() -> None:
    assert decisions.exited(job(State.RUNNING), launch=2, status=0, now=NOW) is None
    for state in (State.STARTING, State.RESTARTING, State.STOPPING, State.ENDED, State.QUEUED):
        assert decisions.exited(job(state), launch=1, status=0, now=NOW) is None

"""The transition table holds what the design promises of it."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.model import TRANSITIONS, Event, InvalidTransition, State, legacy_status, next_state, possible
from gpuqueue_spawner.model.states import HOLDING, WAITING

EVERY_LINE = [(state, event) for state, events in TRANSITIONS.items() for event in events]


def reachable(start: State) -> set[State]:
    """Every state that a job in `start` can get to."""
    found, new = set(), {start}
    while new:
        found |= new
        new = {after for state in new for after in TRANSITIONS[state].values()} - found
    return found


@pytest.mark.parametrize("state", State, ids=str)
def test_every_state_has_lines_and_can_come_to_an_end(state):
    """No job is stuck: from each state there is a way to the end."""
    assert State.ENDED in reachable(state)


def test_every_state_can_be_reached_by_a_new_job():
    """No state stands in the table for nothing."""
    assert reachable(State.QUEUED) == set(State)


def test_the_end_is_the_end():
    """Nothing happens to a job that has ended."""
    assert possible(State.ENDED) == ()


def test_every_event_but_the_first_is_possible_somewhere():
    """SUBMIT makes a job, all others move one."""
    assert {event for _, event in EVERY_LINE} == set(Event) - {Event.SUBMIT}


def test_a_job_waits_holds_or_has_ended():
    """Each state is exactly one of the three, so that no job is lost between queue and servers."""
    assert not WAITING & HOLDING
    assert WAITING | HOLDING | {State.ENDED} == set(State)


@pytest.mark.parametrize("state", sorted(HOLDING, key=str), ids=str)
def test_what_holds_gpus_was_admitted(state):
    """There is one way from the queue to GPUs: ADMIT."""
    ways_in = {
        (before, event) for before, event in EVERY_LINE if before in WAITING and TRANSITIONS[before][event] is state
    }

    assert ways_in <= {(State.QUEUED, Event.ADMIT)}


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING, State.RESTARTING], ids=str)
def test_what_may_have_a_process_ends_only_through_stopping(state):
    """GPUs are given back when the last process was seen gone, and only STOPPING waits for that."""
    assert State.ENDED not in TRANSITIONS[state].values()
    assert State.QUEUED not in TRANSITIONS[state].values()
    assert TRANSITIONS[state][Event.STOP] is State.STOPPING


@pytest.mark.parametrize(("state", "event"), EVERY_LINE, ids=str)
def test_next_state_reads_the_table(state, event):
    """Every line is possible, and says where it leads."""
    assert event in possible(state)
    assert next_state(7, state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(
    ("state", "event"), [(s, e) for s in State for e in Event if (s, e) not in EVERY_LINE], ids=str
)
def test_what_is_not_in_the_table_is_refused(state, event):
    """The refusal keeps job, state and event."""
    with pytest.raises(InvalidTransition) as refusal:
        next_state(7, state, event)

    assert (refusal.value.job, refusal.value.state, refusal.value.event) == (7, state, event)


def test_a_refusal_names_what_is_possible():
    """The words say what the job is, what was asked and what would go."""
    refusal = InvalidTransition(7, State.HELD, Event.ADMIT)

    assert str(refusal) == "job 7 is held: cannot admit (possible: replace, release, cancel, reject)"


def test_a_refusal_after_the_end_says_that_nothing_is_possible():
    """An empty list would read like a fault."""
    refusal = InvalidTransition(7, State.ENDED, Event.STOP)

    assert str(refusal) == "job 7 is ended: cannot stop (possible: nothing, it has ended)"


def test_the_codes_of_2018_stay():
    """Older programs read 0 stopped, 1 running, 2 pending restart, 3 pending stop, 4 in queue."""
    codes = {state: legacy_status(state) for state in State}

    assert codes == {
        State.QUEUED: 4,
        State.HELD: 4,
        State.ADMITTED: 4,
        State.STARTING: 4,
        State.RUNNING: 1,
        State.RESTARTING: 2,
        State.STOPPING: 3,
        State.ENDED: 0,
    }

"""What one event makes of a job: for every state and event, without any database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import TRANSITIONS, End, Event, InvalidTransition, Job, Placement, Resources, State
from gpuqueue_spawner.model.states import HOLDING, WAITING
from gpuqueue_spawner.store.moves import CHANGEABLE, held, moved

PLACE = Placement(node="n1", devices=("gpu0",))
LINES = [(state, event) for state, events in TRANSITIONS.items() for event in events]


def job_in(state: State, **fields: Any) -> Job:
    """A job in some state, which holds gpu0 of n1 if jobs in that state hold anything."""
    fields = {"placement": PLACE if state in HOLDING else None, **fields}
    return Job(
        id=7,
        key="k",
        user="alice",
        server="",
        request="r",
        resources=Resources(),
        lease=60.0,
        state=state,
        version=3,
        submitted=1.0,
        queued=2.0,
        **fields,
    )


@pytest.mark.parametrize(("state", "event"), LINES)
def test_every_line_of_the_table_gives_a_job_that_does_not_contradict_itself(state: State, event: Event) -> None:
    """The state is the table's, the version rises by one; who waits holds nothing, who ended has an end and a time."""
    changes: dict[str, Any] = {"placement": PLACE} if event is Event.ADMIT else {}
    job = job_in(state, end=End.STOPPED if event is Event.GONE else None)

    after = moved(job, event, changes, at=9.0)

    assert (after.state, after.version) == (TRANSITIONS[state][event], 4)
    assert (held(after) is not None) == (after.state in HOLDING)
    assert (after.placement is None) or (after.state not in WAITING)
    assert (after.ended, after.end is not None) == ((None, False) if after.open else (9.0, True))
    assert (after.id, after.key, after.user, after.queued) == (job.id, job.key, job.user, job.queued)


@given(st.sampled_from(State), st.sampled_from(Event))
def test_event_outside_the_table_is_refused(state: State, event: Event) -> None:
    """Whatever the changes say."""
    if (state, event) in LINES:
        return
    with pytest.raises(InvalidTransition):
        moved(job_in(state), event, {"placement": PLACE}, at=9.0)


@pytest.mark.parametrize("field", ["id", "key", "user", "server", "submitted", "state", "version", "by", "nonsense"])
def test_what_never_changes_cannot_be_changed(field: str) -> None:
    """A typing error in a change is refused, not ignored."""
    assert field not in CHANGEABLE
    with pytest.raises(TypeError, match=f"cannot change {field} of a job"):
        moved(job_in(State.QUEUED), Event.HOLD, {field: "x"}, at=9.0)


@pytest.mark.parametrize(
    ("state", "event", "changes", "words"),
    [
        (State.QUEUED, Event.ADMIT, {}, "would be admitted without a placement"),
        (State.STARTING, Event.READY, {"placement": None}, "would be running without a placement"),
        (State.STOPPING, Event.GONE, {}, "would be ended without an end"),
        (State.RUNNING, Event.EXTEND, {"end": End.FAILED}, "would be running although it is to be failed"),
    ],
)
def test_outcome_that_contradicts_itself_is_refused(
    state: State, event: Event, changes: dict[str, Any], words: str
) -> None:
    """A bug of the caller ends loudly before anything is written."""
    with pytest.raises(ValueError, match=words):
        moved(job_in(state), event, changes, at=9.0)


def test_job_that_is_to_end_cannot_go_back_to_the_queue() -> None:
    """Once its owner stopped it, REQUEUE is over."""
    with pytest.raises(ValueError, match="although it is to be stopped"):
        moved(job_in(State.STOPPING, end=End.STOPPED), Event.REQUEUE, {}, at=9.0)


@pytest.mark.parametrize(("event", "end"), [(Event.CANCEL, End.CANCELLED), (Event.REJECT, End.REJECTED)])
def test_cancel_and_reject_name_their_end_unless_told_otherwise(event: Event, end: End) -> None:
    """An end that the caller names wins."""
    assert moved(job_in(State.QUEUED), event, {}, at=9.0).end is end
    assert moved(job_in(State.QUEUED), event, {"end": End.FAILED, "ended": 8.0}, at=9.0).end is End.FAILED


def test_whoever_ends_or_holds_a_job_is_known_until_it_goes_on() -> None:
    """`by` is set by what ends or holds it, kept by what follows, cleared by what lets it go on."""
    waiting = job_in(State.QUEUED)
    on_hold = moved(waiting, Event.HOLD, {}, at=1.0, by="root")
    stopping = moved(job_in(State.RUNNING), Event.STOP, {"end": End.STOPPED}, at=1.0, by="alice")

    assert on_hold.by == "root"
    assert moved(on_hold, Event.RELEASE, {}, at=2.0, by="root").by == ""
    assert moved(stopping, Event.GONE, {}, at=2.0).by == "alice"
    assert moved(replace(stopping, end=None), Event.REQUEUE, {}, at=2.0).by == ""
    assert moved(waiting, Event.ADMIT, {"placement": PLACE}, at=2.0, by="root").by == ""

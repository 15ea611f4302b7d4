"""What one event makes of a job. Pure: knows the table of states and the rules a record obeys, no database.

Who writes the result down: jobs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from gpuqueue_spawner.model import End, Event, Job, Placement, State, next_state

CHANGEABLE = frozenset(field.name for field in fields(Job)) - {
    *("id", "key", "user", "server", "submitted"),  # who it is
    *("state", "version", "by"),  # follow from the event
}
_ENDS = {Event.CANCEL: End.CANCELLED, Event.REJECT: End.REJECTED}  #: these events name their end themselves
_BY = frozenset({Event.HOLD, Event.CANCEL, Event.REJECT, Event.STOP})  #: whoever does these ends or holds the job
_BY_NOBODY = frozenset({Event.RELEASE, Event.REQUEUE})


def moved(job: Job, event: Event, changes: Mapping[str, Any], *, at: float, by: str = "") -> Job:
    """Work out the job after `event`.

    :raises InvalidTransition: the table has no such line.
    :raises TypeError: a change of something that never changes.
    :raises ValueError: the outcome would contradict itself.
    """
    if not CHANGEABLE.issuperset(changes):
        raise TypeError(f"cannot change {', '.join(sorted(changes.keys() - CHANGEABLE))} of a job")
    state = next_state(job.id, job.state, event)
    values: dict[str, Any] = {"state": state, "version": job.version + 1, **changes}
    if event in _BY or event in _BY_NOBODY:
        values["by"] = by if event in _BY else ""
    if state is State.ENDED:
        values.setdefault("ended", at)
        if event in _ENDS:
            values.setdefault("end", _ENDS[event])
    elif state in (State.QUEUED, State.HELD):
        values["placement"] = None  # what waits holds nothing
    result = replace(job, **values)
    _check(result, event)
    return result


def held(job: Job) -> Placement | None:
    """What the job holds right now; an ended job's placement is only its history."""
    return job.placement if job.holding else None


def _check(job: Job, event: Event) -> None:
    if job.holding and job.placement is None:
        raise ValueError(f"job {job.id} would be {job.state} without a placement ({event})")
    if job.state is State.ENDED and job.end is None:
        raise ValueError(f"job {job.id} would be ended without an end ({event})")
    if job.state not in (State.ENDED, State.STOPPING) and job.end is not None:
        raise ValueError(f"job {job.id} would be {job.state} although it is to be {job.end} ({event})")

"""The life of a job: its states, the events that move it, and the one table that says which event is possible when.

The documentation's diagram, the API's possible actions and the property tests all read TRANSITIONS.
Who writes a transition: store/jobs.py.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where in its life a job is."""

    QUEUED = "queued"
    HELD = "held"  # an admin holds it back; it keeps its place
    ADMITTED = "admitted"  # GPUs are held, no process or pod may exist yet
    STARTING = "starting"  # a launch was permitted, a process may exist
    RUNNING = "running"
    RESTARTING = "restarting"  # keeps its GPUs while its server is stopped and started anew
    STOPPING = "stopping"  # ends, or goes back to the queue, once its last process is seen gone
    ENDED = "ended"

    def __str__(self) -> str:  # people read "queued", not "State.QUEUED"
        return str(self.value)


class Event(enum.Enum):
    """What can happen to a job."""

    SUBMIT = "submit"  # the first line of every story, never in the table: it makes the job
    REPLACE = "replace"  # its owner chose other options: new place
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"  # before anything was launched
    REJECT = "reject"  # can never fit, over a limit, its user is gone
    ADMIT = "admit"
    LAUNCH = "launch"  # permit for one launch number; a later number always wins
    CLAIM = "claim"  # the launched process names itself, before it becomes the notebook
    READY = "ready"
    EXTEND = "extend"
    WARN = "warn"  # told that its lease ends soon
    RESTART = "restart"
    STOP = "stop"  # a person, the lease, a failure or the cluster ends it; how is in the job's `end`
    REQUEUE = "requeue"  # back to the queue, at its old place
    GONE = "gone"  # the last process was seen gone

    def __str__(self) -> str:
        return str(self.value)


S, E = State, Event

TRANSITIONS: dict[State, dict[Event, State]] = {
    S.QUEUED: {E.REPLACE: S.QUEUED, E.HOLD: S.HELD, E.CANCEL: S.ENDED, E.REJECT: S.ENDED, E.ADMIT: S.ADMITTED},
    S.HELD: {E.REPLACE: S.HELD, E.RELEASE: S.QUEUED, E.CANCEL: S.ENDED, E.REJECT: S.ENDED},
    S.ADMITTED: {
        E.REPLACE: S.QUEUED,
        E.CANCEL: S.ENDED,
        E.REJECT: S.ENDED,
        E.REQUEUE: S.QUEUED,
        E.LAUNCH: S.STARTING,
    },
    # LAUNCH in STARTING: the Hub that asked before died; its process was seen gone, the GPUs stay.
    S.STARTING: {E.LAUNCH: S.STARTING, E.CLAIM: S.STARTING, E.READY: S.RUNNING, E.STOP: S.STOPPING},
    S.RUNNING: {E.EXTEND: S.RUNNING, E.WARN: S.RUNNING, E.RESTART: S.RESTARTING, E.STOP: S.STOPPING},
    S.RESTARTING: {E.LAUNCH: S.STARTING, E.STOP: S.STOPPING},
    # STOP in STOPPING: its owner stops a job that was only going back to the queue.
    S.STOPPING: {E.STOP: S.STOPPING, E.REQUEUE: S.QUEUED, E.GONE: S.ENDED},
    S.ENDED: {},
}

WAITING = frozenset({S.QUEUED, S.HELD})  #: has a place in the queue
HOLDING = frozenset({S.ADMITTED, S.STARTING, S.RUNNING, S.RESTARTING, S.STOPPING})  #: holds its devices

_LEGACY = {S.ENDED: 0, S.RUNNING: 1, S.RESTARTING: 2, S.STOPPING: 3}


class InvalidTransition(Exception):
    """The event is not possible in the job's state."""

    def __init__(self, job: int, state: State, event: Event) -> None:
        words = ", ".join(str(e) for e in possible(state)) or "nothing, it has ended"
        super().__init__(f"job {job} is {state}: cannot {event} (possible: {words})")
        self.job, self.state, self.event = job, state, event


def next_state(job: int, state: State, event: Event) -> State:
    """Look up where `event` moves a job.

    :raises InvalidTransition: the table has no such line.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise InvalidTransition(job, state, event) from None


def possible(state: State) -> tuple[Event, ...]:
    """The events that the table allows in `state`, in its order."""
    return tuple(TRANSITIONS[state])


def legacy_status(state: State) -> int:
    """The status code of the 2018 interface: 0 stopped, 1 running, 2 pending restart, 3 pending stop, 4 in queue."""
    return _LEGACY.get(state, 4)

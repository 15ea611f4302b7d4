"""The states of a job, drawn and in tables, from the one table of transitions.

Knows what each state means in words; what may happen in it is read from model/states.py. The drawing: diagram.py.
"""

from __future__ import annotations

from gpuqueue_spawner.model import TRANSITIONS, Event, State, legacy_status
from gpuqueue_spawner.model.states import HOLDING, WAITING
from gpuqueue_spawner.service.views import chips

from . import diagram
from .tables import code, codes, table

MEANS = {
    State.QUEUED: "Waits for its turn.",
    State.HELD: "An admin holds it back. It keeps its place and is passed over.",
    State.ADMITTED: "It was given its node and GPUs. No process of it may exist yet.",
    State.STARTING: "A launch was permitted; a process may exist.",
    State.RUNNING: "The notebook answered. Its lease runs.",
    State.RESTARTING: "Its server is stopped and started anew. It keeps its node, its GPUs and the end of its lease.",
    State.STOPPING: "Its processes are being ended. It ends, or goes back to the queue after a failed launch or where "
    "the cluster took it away, once the last one is seen gone.",
    State.ENDED: "Over, in exactly one way.",
}

HAPPENS = {
    Event.SUBMIT: "The request was accepted. It makes the job, so it is in no row of the table above.",
    Event.REPLACE: "Its owner asked for the same server with other options: the job takes them, and a new place.",
    Event.HOLD: "An admin holds it back.",
    Event.RELEASE: "An admin lets it go on, at its old place.",
    Event.CANCEL: "It was withdrawn before anything was launched.",
    Event.REJECT: "It can never start: its user is gone.",
    Event.ADMIT: "The planner gave it a node and GPUs.",
    Event.LAUNCH: "One launch was permitted, with a number. A later number voids every earlier one.",
    Event.CLAIM: "The launched process named itself by pid and start time, and may become the notebook.",
    Event.READY: "The notebook answers. The first time, the lease begins.",
    Event.EXTEND: "It may run longer.",
    Event.WARN: "Its owner was told that the lease ends soon.",
    Event.RESTART: "It is to be stopped and started anew on the same GPUs.",
    Event.STOP: "A person, the lease, a failure, its own exit or the cluster ends it.",
    Event.REQUEUE: "It goes back to the queue, at its old place.",
    Event.GONE: "Its last process was seen gone. Only this frees its GPUs.",
}


def picture() -> str:
    """The drawing, as HTML in MyST."""
    return f"```{{raw}} html\n{diagram.svg()}\n```\n"


def states() -> str:
    """What each state means."""
    rows = (
        (
            code(state),
            _chip(state),
            MEANS[state],
            "yes" if state in WAITING else "",
            "yes" if state in HOLDING else "",
            code(legacy_status(state)),
        )
        for state in State
    )
    return table(("State", "Pages say", "Meaning", "Has a place", "Holds its GPUs", "Status of 2018"), rows)


def transitions() -> str:
    """Which event is possible in which state, and where it leads."""
    rows = []
    for state, lines in TRANSITIONS.items():
        rows += [(code(state), code(event), code(after)) for event, after in lines.items()]
    return table(("In state", "event", "leads to"), rows)


def events() -> str:
    """What each event says."""
    where = {event: [state for state, lines in TRANSITIONS.items() if event in lines] for event in Event}
    return table(
        ("Event", "Meaning", "Possible in"), ((code(event), HAPPENS[event], codes(where[event])) for event in Event)
    )


def _chip(state: State) -> str:
    return chips._STATES[state].word if state is not State.ENDED else "how it ended"

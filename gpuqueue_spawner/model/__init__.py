"""The nouns every layer speaks. Knows records and words; no clock, no database, no network, no JupyterHub.

Where to go next: who starts when is `scheduling`, what is kept is `store`, what exists is `capacity`.
"""

from .jobs import Job, NewJob, ReasonCode, Reason, End
from .nodes import Device, Node, Placement
from .resources import Resources
from .states import Event, State, TRANSITIONS, InvalidTransition, legacy_status, next_state, possible

__all__ = [
    "TRANSITIONS",
    "Device",
    "End",
    "Event",
    "InvalidTransition",
    "Job",
    "NewJob",
    "Node",
    "Placement",
    "Reason",
    "ReasonCode",
    "Resources",
    "State",
    "legacy_status",
    "next_state",
    "possible",
]

"""The nouns every layer speaks. Knows records and words; no clock, no database, no network, no JupyterHub.

Where to go next: who starts when is `scheduling`, what is kept is `store`, what exists is `capacity`.
"""

from .constraints import ANYWHERE, Constraints, Taint, Toleration
from .fates import Cause, Fate, foremost, pod_fate
from .jobs import End, Job, NewJob, Reason, ReasonCode
from .nodes import Device, Node, Placement
from .resources import Resources
from .states import TRANSITIONS, Event, InvalidTransition, State, legacy_status, next_state, possible

__all__ = [
    "ANYWHERE",
    "TRANSITIONS",
    "Cause",
    "Constraints",
    "Device",
    "End",
    "Event",
    "Fate",
    "InvalidTransition",
    "Job",
    "NewJob",
    "Node",
    "Placement",
    "Reason",
    "ReasonCode",
    "Resources",
    "State",
    "Taint",
    "Toleration",
    "foremost",
    "legacy_status",
    "next_state",
    "pod_fate",
    "possible",
]

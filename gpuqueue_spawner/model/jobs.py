"""One request for a notebook, from the moment it is accepted to its one end, and the words for why it waits.

Knows records. What may happen to a job: states.py. Which job starts next: scheduling/planner.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .constraints import Constraints
from .nodes import Placement
from .resources import Resources
from .states import HOLDING, WAITING, State


class End(enum.Enum):
    """How a job ended. Each job has exactly one."""

    COMPLETED = "completed"  # the work said that it is done
    STOPPED = "stopped"  # its owner or an admin stopped a server that was starting or running
    CANCELLED = "cancelled"  # withdrawn while it had no process
    EXPIRED = "expired"  # its lease ended
    RECLAIMED = "reclaimed"  # its GPUs were idle
    FAILED = "failed"
    REJECTED = "rejected"  # can never fit, over a limit, its user is gone

    def __str__(self) -> str:
        return str(self.value)


class ReasonCode(enum.Enum):
    """Why a job waits, in order of precedence: the first that holds is the one that is shown."""

    HOLD = "hold"
    NEVER_FITS = "never-fits"
    OWN_LIMIT = "own-limit"
    CAPACITY_UNKNOWN = "capacity-unknown"
    ORDER = "order"
    RESOURCES = "resources"
    NOT_BEFORE = "not-before"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a job waits: a code that never changes, and words."""

    code: ReasonCode
    lead: str  #: the sentence: "Waits for 4 free GPUs on one server."
    proof: str = ""  #: what shows it: "The most free on any server is 2."


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What is posted: a job before the queue has accepted it."""

    user: str
    server: str  #: the Hub's server name; empty for the default server. Never joined with `user` into one string
    request: str  #: random, made in each start() of the spawner: a repeated POST is harmless
    name: str = ""  #: what its owner calls it, up to 255 characters
    profile: str = ""  #: display name of the profile
    resources: Resources
    constraints: Constraints = field(default_factory=Constraints)  #: which nodes will do, of those with room
    lease: float  #: seconds it may run, from the moment the notebook is ready
    options: Mapping[str, Any] = field(default_factory=dict)  #: the Hub's user_options, posted again after a loss
    uid: int | None = None  #: numeric user id its processes run under, None: the Hub's own


@dataclass(frozen=True, kw_only=True)
class Job(NewJob):
    """A job the queue has accepted. Times are Unix seconds in UTC, None: has not happened."""

    id: int  #: for people: short, rising
    key: str  #: random and never used twice, also after a restore of the database: what its processes carry
    state: State
    version: int  #: counts its transitions; every write names the one it read
    submitted: float  #: when it was accepted
    queued: float  #: its place in the line: when it was accepted or last replaced; requeueing keeps it
    not_before: float = 0.0  #: not admitted earlier than this, after a failed launch
    placement: Placement | None = None  #: node and devices it holds
    launch: int = 0  #: number of the last permitted launch
    pid: int | None = None  #: process that claimed the last launch
    pid_started: int | None = None  #: its start, in clock ticks since the machine's boot: a pid alone is used again
    failures: int = 0  #: launches that failed in a row
    failed_on: tuple[str, ...] = ()  #: nodes where they did, by name
    admitted: float | None = None
    started: float | None = None  #: when the notebook was first ready
    ends: float | None = None  #: end of its lease
    warned: float | None = None  #: when its owner was last told that the lease ends
    extended: float = 0.0  #: seconds the lease was extended by, all in all
    ended: float | None = None
    end: End | None = None  #: its end; STOPPING is on the way to it, and without one goes back to the queue
    message: str = ""  #: words for the end, the hold or the last failure
    by: str = ""  #: who ended or holds it; empty: the queue itself

    @property
    def waiting(self) -> bool:
        """Whether it has a place in the queue."""
        return self.state in WAITING

    @property
    def holding(self) -> bool:
        """Whether it holds its placement."""
        return self.state in HOLDING

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state is not State.ENDED

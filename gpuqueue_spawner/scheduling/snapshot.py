"""What a plan looks at and what it says: records only.

Who fills a snapshot and acts on a plan: manager/. Who makes the plan: planner.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..model import ANYWHERE, Constraints, Job, Node, Placement, Reason, Resources
from .limits import Limits


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All that a plan may know. The order of its tuples does not matter."""

    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...]  #: every open job
    limits: Limits = field(default_factory=Limits)
    unknown: str = ""  #: why `nodes` cannot be trusted, a sentence for people; empty: they can


@dataclass(frozen=True, kw_only=True)
class Admit:
    """A job that starts now."""

    job: int
    placement: Placement


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A job that stays in the queue."""

    job: int
    place: int  #: 1 is the first of those that stay
    of: int
    reason: Reason
    start: float | None  #: estimated start, Unix seconds; None: no estimate


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What happens now, and what every other waiting job may expect."""

    admissions: tuple[Admit, ...]  #: in the order of the queue
    waits: Mapping[int, Wait]  #: by job, in the order of the queue


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What one more job could ask for."""

    resources: Resources
    constraints: Constraints = ANYWHERE
    lease: float  #: seconds; decides nothing under strict order, and will once shorter jobs may pass


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What would happen to one more job."""

    start: float | None  #: Unix seconds; `now` itself if it would be admitted at once, later if not; None: no estimate
    reason: Reason | None  #: why it would wait; None: it would not

"""Where a waiting job stands, in words: its place, its start, why it waits, and what of that others may read.

Knows the planner's answer for one job. An estimate here is the latest start: the planner runs forward over the ends
of all leases, so an early stop makes it earlier; only an extension, or a job that comes back to its old place ahead,
makes it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Job, ReasonCode, State
from . import words
from .moments import ABOUT, Moment, moment

if TYPE_CHECKING:
    from ...scheduling import Wait

NO_ESTIMATE = "no estimate"
SOON = "any moment"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The latest start to expect."""

    words: str  #: where there is no time: "any moment", "no estimate"
    at: Moment | None
    in_words: str  #: "within about 1 h 25 min"; empty where there is no time


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a job waits."""

    lead: str
    proof: str


def estimate(wait: Wait | None, *, now: float) -> Estimate:
    """Word the start that the planner expects at the latest."""
    if wait is None or wait.start is None:
        return Estimate(words=NO_ESTIMATE, at=None, in_words="")
    if words.any_moment(wait.start - now):
        return Estimate(words=SOON, at=None, in_words="")
    return Estimate(
        words="",
        at=moment(words.round_up(wait.start), now=now, form=ABOUT),
        in_words=f"within {words.at_most(wait.start - now)}",
    )


def why(job: Job, wait: Wait | None) -> Why:
    """Say to its owner or an admin why a job waits."""
    if wait is None and job.state is State.HELD:
        return Why(lead="The GPU team put this request on hold.", proof=f"“{job.message}”" if job.message else "")
    if wait is None:
        return Why(lead="Its place is being looked up.", proof="")
    return Why(lead=wait.reason.lead, proof=wait.reason.proof)


_FOR_OTHERS = {  # what a reason may tell of somebody else's job: neither names, nor notes, nor limits, nor failures
    ReasonCode.HOLD: "On hold by the GPU team.",
    ReasonCode.OWN_LIMIT: "Its owner is at a limit.",
    ReasonCode.NOT_BEFORE: "Tries again in a moment.",
}


def why_for_others(wait: Wait | None) -> str:
    """Say to everybody why a job waits."""
    if wait is None:
        return ""
    return _FOR_OTHERS.get(wait.reason.code, wait.reason.lead)

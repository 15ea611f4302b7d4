"""States and ends as chips: a word, an icon and a tone, so that colour is never the only sign.

Knows words. Which state is possible after which: model/states.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import End, Job, State
from . import words

ENDS_SOON = 600.0  #: seconds before its end from which on a job "ends soon", where the site says nothing else


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A state in one word."""

    word: str
    icon: str  #: Font Awesome name without "fa-"
    tone: str  #: waiting, turn, running, warn, bad, ended


_STATES = {
    State.QUEUED: Chip(word="Waiting", icon="hourglass-half", tone="waiting"),
    State.HELD: Chip(word="On hold", icon="pause", tone="warn"),
    State.ADMITTED: Chip(word="Your turn", icon="bell", tone="turn"),
    State.STARTING: Chip(word="Starting", icon="rocket", tone="turn"),
    State.RUNNING: Chip(word="Running", icon="circle-play", tone="running"),
    State.RESTARTING: Chip(word="Restarting", icon="rotate-right", tone="running"),
    State.STOPPING: Chip(word="Stopping", icon="stop", tone="ended"),
}
_ENDS = {
    End.COMPLETED: Chip(word="Finished", icon="circle-check", tone="ended"),
    End.STOPPED: Chip(word="Stopped", icon="stop", tone="ended"),
    End.CANCELLED: Chip(word="Cancelled", icon="xmark", tone="ended"),
    End.EXPIRED: Chip(word="Time was up", icon="flag-checkered", tone="ended"),
    End.RECLAIMED: Chip(word="Reclaimed", icon="moon", tone="warn"),
    End.FAILED: Chip(word="Failed", icon="circle-xmark", tone="bad"),
    End.REJECTED: Chip(word="Not accepted", icon="ban", tone="bad"),
}
SOON = Chip(word="Ends soon", icon="bell", tone="warn")
UNKNOWN = Chip(word="Queue paused", icon="plug-circle-xmark", tone="warn")


def of_end(end: End | None) -> Chip:
    """The chip of an end, without who brought it about."""
    return _ENDS[end or End.STOPPED]


def of_job(job: Job, *, now: float, warning: float = ENDS_SOON, unknown: bool = False) -> Chip:
    """The chip of a job as it is now; `unknown`: nobody can say what is free."""
    if job.state is State.ENDED:
        return of_end(job.end)
    if job.state is State.RUNNING and job.ends is not None and job.ends - now <= warning:
        return SOON
    if job.state is State.QUEUED and unknown:
        return UNKNOWN
    return _STATES[job.state]


def end_words(job: Job, *, reader: str) -> str:
    """Say how a job ended and who did it: "Stopped by you", "Failed: the image does not exist"."""
    word = of_end(job.end).word
    if job.end in (End.COMPLETED, End.FAILED, End.REJECTED, End.RECLAIMED) and job.message:
        return f"{word}: {job.message}"
    if job.end in (End.STOPPED, End.CANCELLED) and job.by:
        return f"{word} {words.by(job.by, reader=reader)}"
    return word

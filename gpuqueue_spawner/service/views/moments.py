"""Points in time, printed so that they are true without a script: in UTC, with the word.

A script rewrites each into the reader's own zone (static/gpuqueue-times.js), by the form that stands beside it. Knows
no reader and no zone but UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

CLOCK = "clock"  #: 13:42, with the day where it is not today's
ABOUT = "about"  #: the same of an estimate: "about 13:42", "tomorrow, about 04:00"
SECONDS = "seconds"  #: 13:42:07
DATE = "date"  #: Tuesday 24 November 2026


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One point in time, ready to print."""

    iso: str  #: for machines: "2026-11-24T12:42:07Z"
    text: str  #: for people without a script: "12:42 UTC"
    form: str = CLOCK


Words = tuple[str | Moment, ...]  #: a sentence with times in it


def moment(at: float, *, now: float, form: str = CLOCK) -> Moment:
    """Word Unix seconds; `now` decides whether the day has to be said."""
    when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    if form == SECONDS:
        text = f"{when:%H:%M:%S} UTC"
    elif form == DATE:
        text = f"{when:%A} {when.day} {when:%B %Y}"
    else:
        year = f" {when.year}" if when.year != today.year else ""
        day = "" if when.date() == today.date() else f"{when.day} {when:%b}{year}, "
        text = f"{day}{'about ' if form == ABOUT else ''}{when:%H:%M} UTC"
    return Moment(iso=f"{when:%Y-%m-%dT%H:%M:%S}Z", text=text, form=form)

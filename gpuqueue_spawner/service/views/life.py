"""A job's life as one bar: waited, started, ran, stopped. In percent, so that it needs no size and no inline style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import State
from . import words
from .moments import Moment, moment

if TYPE_CHECKING:
    from ...store import LoggedEvent

LABEL_FROM = 14.0  #: percent of the bar that a label needs
PHONE_FROM = 36.0  #: the same on a phone
_KIND = {State.QUEUED: "wait", State.HELD: "wait", State.RUNNING: "run", State.STOPPING: "stop", State.ENDED: ""}
_VERB = {"wait": "waited", "start": "started", "run": "ran", "stop": "stopped"}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One stretch of the bar."""

    kind: str  #: wait, start (also restarts), run, stop
    x: str  #: percent
    width: str
    middle: str
    label: str  #: empty where there is no room
    narrow: bool  #: no room for the label on a phone


@dataclass(frozen=True, kw_only=True)
class Life:
    """The bar."""

    pieces: tuple[Piece, ...]
    start: Moment
    end: Moment
    words: str  #: the same, for those who do not see it


def of(log: Sequence[LoggedEvent], *, until: float, now: float) -> Life:
    """Draw a log up to `until`."""
    first = log[0].at if log else until
    whole = (until - first) or 1.0
    stretches: list[tuple[str, float, float]] = []
    ends = [event.at for event in log[1:]] + [until]
    for event, end in zip(log, ends, strict=True):
        kind = _KIND.get(event.state, "start")
        if stretches and stretches[-1][0] == kind:
            stretches[-1] = (kind, stretches[-1][1], end)
        elif kind:
            stretches.append((kind, event.at, end))
    pieces = tuple(
        _piece(kind, 100 * (start - first) / whole, 100 * (end - start) / whole, end - start)
        for kind, start, end in stretches
        if end > start
    )
    told = ", ".join(f"{_VERB[kind]} {words.duration(end - start)}" for kind, start, end in stretches if end > start)
    return Life(
        pieces=pieces,
        start=moment(first, now=now),
        end=moment(until, now=now),
        words=f"{told.capitalize()}." if told else "Nothing happened yet.",
    )


def _piece(kind: str, x: float, width: float, seconds: float) -> Piece:
    label = f"{_VERB[kind]} {words.duration(seconds)}" if width >= LABEL_FROM else ""
    return Piece(
        kind=kind,
        x=f"{x:.1f}%",
        width=f"{max(width, 0.6):.1f}%",
        middle=f"{x + width / 2:.1f}%",
        label=label,
        narrow=width < PHONE_FROM,
    )

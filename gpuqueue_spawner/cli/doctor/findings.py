"""What a check is, and what it finds. Knows records only; who runs checks: running.py."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .deployment import Deployment


class Outcome(enum.Enum):
    """How a check ended; the values never change."""

    OK = "ok"
    NOT_CHECKED = "not checked"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found."""

    outcome: Outcome
    seen: str  #: a sentence; why, where it was not checked
    todo: tuple[str, ...] = ()  #: what to do next, a sentence each

    @property
    def well(self) -> bool:
        """Whether what builds on it can be looked at."""
        return self.outcome in (Outcome.OK, Outcome.WARNING)


class Place(enum.Enum):
    """Where jobs run, as far as a check cares."""

    ANY = "everywhere"
    MACHINE = "on one machine"
    CLUSTER = "in a cluster"
    PROBE = "in a cluster, with --probe"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question to a deployment, and what answers it."""

    name: str  #: subject.matter; never changes
    asks: str  #: what is in order when it is, a sentence
    look: Callable[[Deployment], Finding]
    place: Place = Place.ANY
    needs: tuple[str, ...] = ()  #: names of earlier checks; after a problem there this one could only repeat it
    limit: float = 15.0  #: seconds


class NotChecked(Exception):
    """A check cannot be made; the words say why."""


def ok(seen: str) -> Finding:
    """All is well."""
    return Finding(outcome=Outcome.OK, seen=seen)


def warning(seen: str, *todo: str) -> Finding:
    """Something that works, and may hurt."""
    return Finding(outcome=Outcome.WARNING, seen=seen, todo=todo)


def problem(seen: str, *todo: str) -> Finding:
    """Something that does not work, or lets somebody in."""
    return Finding(outcome=Outcome.PROBLEM, seen=seen, todo=todo)


def not_checked(why: str) -> Finding:
    """Nobody knows."""
    return Finding(outcome=Outcome.NOT_CHECKED, seen=why)

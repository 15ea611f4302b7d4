"""Who asks, and what that person may see and do.

Knows the Hub's answer about a token: name and scopes. Who asks the Hub: base.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import Job

READ, OPERATE, ADMIN = "custom:gpuqueue:read", "custom:gpuqueue:operate", "custom:gpuqueue:admin"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A person, or a service with a token of the Hub."""

    name: str
    kind: str = "user"
    scopes: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, model: Mapping[str, Any]) -> Reader:
        """Read the Hub's answer."""
        return cls(name=model["name"], kind=model.get("kind", "user"), scopes=frozenset(model.get("scopes", ())))

    @property
    def reads_all(self) -> bool:
        """May see everybody's jobs and names."""
        return bool(self.scopes & {READ, OPERATE, ADMIN})

    @property
    def operates(self) -> bool:
        """May hold, release, cancel and stop everybody's jobs."""
        return bool(self.scopes & {OPERATE, ADMIN})

    @property
    def administers(self) -> bool:
        """May also drain nodes and end all jobs of a user."""
        return ADMIN in self.scopes

    def owns(self, job: Job) -> bool:
        """Whether it is this person's job."""
        return self.kind == "user" and job.user == self.name

    def sees(self, job: Job) -> bool:
        """Whether the job exists, as far as this reader is concerned."""
        return self.owns(job) or self.reads_all

    def moves(self, job: Job) -> bool:
        """Whether this reader may stop, cancel, restart or extend it."""
        return self.owns(job) or self.operates

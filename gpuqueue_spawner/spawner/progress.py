"""What the waiting page shows of one start(), told to everyone who looks, and only when it changes.

Knows JupyterHub's progress events. Who fills it: queueing.py. Who reads it: the Hub, for each open waiting page.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .jobs import JobView, back_words


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One progress event."""

    progress: int  #: percent, never falls within one start()
    message: str  #: plain words; never HTML
    keys: Mapping[str, Any] = field(default_factory=dict)  #: what the page draws

    def event(self) -> dict[str, Any]:
        """As the Hub sends it."""
        return {**self.keys, "progress": self.progress, "message": self.message}


ASKING = Shown(progress=1, message="Handing your request to the queue.", keys={"phase": "asking"})


class Progress:
    """The last thing to show, and a bell for those who look at it."""

    def __init__(self) -> None:
        self.shown = ASKING
        self._changed = asyncio.Event()

    def begin(self) -> None:
        """Start over for a new start(); who looks already stays."""
        self._put(ASKING)

    def show(
        self, phase: str, percent: int, message: str, job: JobView | None = None, *, reachable: bool = True
    ) -> None:
        """Replace what is shown; nothing is told when nothing changed."""
        keys: dict[str, Any] = {"phase": phase, "reachable": reachable}
        if job is not None:
            keys |= job_keys(job)
        shown = Shown(progress=max(percent, self.shown.progress), message=message, keys=keys)
        if shown != self.shown:
            self._put(shown)

    def _put(self, shown: Shown) -> None:
        self.shown = shown
        self._changed.set()
        self._changed = asyncio.Event()

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What is shown now, and every change after it, until the reader goes."""
        seen: Shown | None = None
        while True:
            changed = self._changed
            if self.shown != seen:
                seen = self.shown
                yield seen.event()
                continue  # it may have changed while the reader was busy
            await changed.wait()


def job_keys(job: JobView) -> dict[str, Any]:
    """What the waiting page draws of a job; plain JSON."""
    return {
        "job": job.id,
        "state": str(job.state),
        "name": job.name,
        "profile": job.profile,
        "resources": dict(job.resources),
        "lease": job.lease,
        "place": job.place,
        "of": job.of,
        "start": job.start,
        "code": job.code,
        "lead": job.lead,
        "proof": job.proof,
        "back": back_words(job),
        "line": [dict(cell) for cell in job.line],
        "releases": [dict(each) for each in job.releases],
        "moved": job.moved,
        "queued": job.queued,
        "submitted": job.submitted,
        "node": job.node,
        "launch": job.launch,
    }

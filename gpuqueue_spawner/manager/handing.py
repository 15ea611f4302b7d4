"""Which servers the Hub was asked to start again, so that what was cancelled before it came for them stays cancelled.

Knows names, requests and moments. Who asks the Hub: resume.py. Whom it asks: manager.py.
"""

from __future__ import annotations

from ..model import Job, NewJob
from .decisions import Refused

HANDED_BACK_S = 30.0  # JupyterHub comes for a job that it was asked to start within a second, unless it is in trouble


class HandedBack:
    """What the Hub has not come for yet, and the requests of its that were turned away."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, str], tuple[int, float]] = {}  # for which job, and when it was asked
        self._refused: dict[str, tuple[int, float]] = {}  # by request: it is asked again when the answer was lost

    def note(self, job: Job, *, now: float) -> None:
        """The Hub is being asked to start this one again."""
        self._servers[job.user, job.server] = (job.id, now)

    def forget(self, job: Job) -> None:
        """It will not."""
        self._servers.pop((job.user, job.server), None)

    def clear(self) -> None:
        """No Hub is there that could come."""
        self._servers.clear()

    def came(self, new: NewJob, open_job: Job | None, *, now: float) -> None:
        """A request came; the same one gets the same answer each time.

        :raises Refused: nobody asked for it: the Hub was to start a job again that was cancelled before it came.
        """
        self._refused = {request: seen for request, seen in self._refused.items() if _recent(seen, now)}
        handed = self._servers.pop((new.user, new.server), None)
        if handed is not None and open_job is None and _recent(handed, now):
            self._refused[new.request] = handed[0], now
        if new.request in self._refused:
            job_id, _ = self._refused[new.request]
            raise Refused("gpuqueue.job.ended", f"This request was cancelled: job {job_id}.")


def _recent(noted: tuple[int, float], now: float) -> bool:
    return abs(now - noted[1]) < HANDED_BACK_S

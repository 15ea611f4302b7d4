"""The queue as everybody may see it: sizes, ages, estimates, no names."""

from __future__ import annotations

from .. import records
from ..base import ApiHandler


class Queue(ApiHandler):
    """Who waits, in order."""

    async def get(self) -> None:
        """200."""
        waiting = sorted(
            (job for job in self.manager.queue.jobs.values() if job.waiting), key=lambda j: (j.queued, j.id)
        )
        self.answer(
            {
                "problem": self.manager.problem(),
                "jobs": [
                    records.queued_public(self.manager, job, mine=self.reader.owns(job))
                    | ({"job": self.job(job)} if self.reader.reads_all else {})
                    for job in waiting
                ],
            }
        )

"""My jobs, one job's story, and what people press there."""

from __future__ import annotations

from .. import acts
from ..views import jobs as jobs_view
from ..views import story as story_view
from .base import Page

ENDED_DAYS = 7


class MyJobs(Page):
    """Own jobs, the room, the queue."""

    async def get(self) -> None:
        """200."""
        manager = self.manager
        since = manager.clock() - ENDED_DAYS * 86400
        view = jobs_view.view(
            **self.frame,
            jobs=tuple(manager.queue.jobs.values()),
            waits={id: standing.wait for id, standing in manager.queue.standings.items()},
            moved={id: standing.moved for id, standing in manager.queue.standings.items()},
            ended=await manager.ended(since=since, user=self.reader.name, limit=20),
            rules=self.rules,
            unknown=manager.problem(),
            ended_days=ENDED_DAYS,
        )
        self.page("jobs.html", view)


class Story(Page):
    """What happened to a job."""

    async def get(self, job_id: str) -> None:
        """200, 404."""
        job = await self.visible(job_id)
        log = await self.manager.story(job.id)
        view = story_view.view(**self.frame, job=job, log=log, warning=self.manager.policy.warning)
        self.page("story.html", view)


class Act(Page):
    """A form of a job's card."""

    async def post(self, job_id: str, action: str) -> None:
        """303 back to my jobs, 400, 403, 404, 409, 503."""
        job = await self.visible(job_id)
        if action == "extend" and self._extended_already(job.ends):
            self.done()  # pressed twice: the page showed the end that it has by now
            return
        await acts.act(self.manager, self.reader, job, action, self.note)
        self.done("" if self.reader.owns(job) else "admin")

    def _extended_already(self, ends: float | None) -> bool:
        wanted = self.get_body_argument("ends", "")
        try:
            return ends is not None and float(wanted) <= ends
        except ValueError:
            return False

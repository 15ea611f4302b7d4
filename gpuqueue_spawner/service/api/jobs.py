"""Jobs: list, look, read the story, act."""

from __future__ import annotations

from .. import acts, records
from ..base import ApiHandler
from ..errors import Forbidden
from ..inputs import ActInput, read

ENDED_DAYS = 7
LIMIT = 200


class Jobs(ApiHandler):
    """Own jobs; everybody's with the right to read them."""

    async def get(self) -> None:
        """200, 400, 403. `?state=open` or `ended`, `?user=NAME` or `?all=1`."""
        state = self.choice("state", "open", "ended")
        user = self._whose()
        if state == "open":
            queue = self.manager.queue
            jobs = [job for _, job in sorted(queue.jobs.items())] if user is None else [*queue.of_user(user)]
        else:
            since = self.manager.clock() - ENDED_DAYS * 86400
            jobs = list(await self.manager.ended(since=since, user=user, limit=LIMIT))
        self.answer({"jobs": [self.job(job) for job in jobs if self.reader.sees(job)]})

    def _whose(self) -> str | None:
        """Whose jobs are asked for; None: everybody's.

        :raises Forbidden: others' jobs are not this reader's to read.
        """
        everybody = self.choice("all", "0", "1") == "1"
        user = self.get_query_argument("user", self.reader.name)
        if not self.reader.reads_all and (everybody or user != self.reader.name):
            raise Forbidden("only the GPU team reads other people's jobs")
        return None if everybody else user


class Job(ApiHandler):
    """One job."""

    async def get(self, job_id: str) -> None:
        """200, 404 also for another user's job: nobody learns that it exists."""
        self.answer({"job": self.job(await self.visible(job_id))})


class Events(ApiHandler):
    """What happened to a job."""

    async def get(self, job_id: str) -> None:
        """200, 404."""
        job = await self.visible(job_id)
        story = await self.manager.story(job.id)
        self.answer({"events": [records.event(each) for each in story]})


class JobAction(ApiHandler):
    """Cancel, stop, restart, extend, hold, release."""

    async def post(self, job_id: str, action: str) -> None:
        """200 with the job, 400, 403, 404, 409 with what is possible, 503."""
        job = await self.visible(job_id)
        note = read(ActInput, self.json_body()).note
        self.answer({"job": self.job(await acts.act(self.manager, self.reader, job, action, note))})

"""A spawner's job, from the request to its end. Each handler checks, makes one call, answers."""

from __future__ import annotations

from typing import Any

from ...manager import decisions
from ...model import End, Job, State
from .. import records
from ..base import Base, SpawnerHandler
from ..errors import NotFound
from ..inputs import ClaimInput, ExitedInput, FailedInput, JobInput, LaunchInput, ReadyInput, StopInput, read


class SpawnerJob(SpawnerHandler):
    """What the handlers below share."""

    def show(self, job: Job, *, status: int = 200, **more: Any) -> None:
        """Answer with the job."""
        self.answer({"job": records.for_spawner(self.manager, job), **more}, status=status)

    def job_id(self, key: str) -> int:
        """The id of the job with this key. Spawners name jobs by key: after a restored backup an id is another's.

        :raises NotFound: it is not open.
        :raises NotLeading: this queue does not know, for it only stands by.
        """
        self.manager.leading()
        job: Job | None = self.manager.queue.of_key(key)
        if job is None or not job.open:
            raise NotFound("open job")
        return job.id


class Jobs(SpawnerJob):
    """Ask for a job, or attach to the open one of the same server."""

    async def post(self) -> None:
        """201 new, 200 attached, 400, 409, 503."""
        given = read(JobInput, self.json_body())
        job, created = await self.manager.submit(given.job())
        self.office.hubs.hold(given.instance, job.key)
        self.show(job, status=201 if created else 200)


class LaunchJob(SpawnerJob):
    """Ask for the permit of one launch."""

    async def post(self, key: str) -> None:
        """200 with the permit, 404, 409, 503."""
        given = read(LaunchInput, self.json_body())
        permit = await self.office.launching.permit(self.job_id(key), version=given.version)
        self.show(
            permit.job,
            launch=permit.launch,
            ticket=permit.ticket,
            environment=dict(permit.environment),
            cgroups=list(permit.cgroups),
        )


class Claims(Base):
    """A launched process names itself; its ticket is its right."""

    async def post(self) -> None:
        """200, 409 when it must end itself, 503."""
        given = read(ClaimInput, self.json_body())
        self.manager.leading()  # else it knows of no permit, and a process that is refused ends itself
        await self.office.launching.claim(given.ticket, pid=given.pid, started=given.started)
        self.answer({})


class ReadyJob(SpawnerJob):
    """The notebook answers."""

    async def post(self, key: str) -> None:
        """200, 404, 409, 503."""
        launch = read(ReadyInput, self.json_body()).launch
        now = self.manager.clock()
        self.show(await self.manager.decide(self.job_id(key), lambda job: decisions.ready(job, launch=launch, now=now)))


class FailedJob(SpawnerJob):
    """A launch failed."""

    async def post(self, key: str) -> None:
        """200, 404, 503. A launch that is not the current one changes nothing."""
        given = read(FailedInput, self.json_body())
        job = self.manager.queue.jobs[self.job_id(key)]
        message = " ".join(given.message.split())[:500]
        self.show(
            await self.office.ending.failed(
                job, launch=given.launch, message=message, taken=given.taken, away=given.away
            )
        )


class ExitedJob(SpawnerJob):
    """A server ended that nobody stopped."""

    async def post(self, key: str) -> None:
        """200, 404, 503. Of a launch that is not the current one, or a job that does not run, it changes nothing."""
        given = read(ExitedInput, self.json_body())
        job = self.manager.queue.jobs[self.job_id(key)]
        fate = given.fate.fate(given.status) if given.fate else None
        self.show(await self.office.ending.exited(job, launch=given.launch, status=given.status, fate=fate))


class StopJob(SpawnerJob):
    """The Hub stops a server, or cancels its start; the same again is harmless."""

    async def post(self, key: str) -> None:
        """200, 404 when there is no such job, 503."""
        instance = read(StopInput, self.json_body()).instance
        held = self.office.hubs.holds_in(instance, key)
        now = self.manager.clock()

        def stopped(job: Job) -> decisions.Change | None:
            if not held and (job.state is State.RESTARTING or self.office.hubs.is_asked(key)):
                return None  # the queue itself stops this server, to start it anew or to see whether it lives
            return decisions.stop(job, now=now, by=decisions.IN_HUB, end=End.STOPPED)

        try:
            self.show(await self.manager.decide(self.job_id(key), stopped))
        except (NotFound, KeyError):  # KeyError: it has ended since its id was looked up
            ended = await self.manager.job_of_key(key)
            if ended is None:
                raise
            self.show(ended)

"""The admin page, and what the GPU team presses there."""

from __future__ import annotations

from .. import acts
from ..errors import BadInput, Forbidden
from ..views import admin as admin_view
from ..views import strays, taken
from ..views.frame import cautions
from .base import Page

ENDED_DAYS = 1
ENDED_ROWS = 20


class Admin(Page):
    """The whole queue, with names."""

    async def get(self) -> None:
        """200, 403."""
        if not self.reader.reads_all:
            raise Forbidden("only the GPU team sees this page")
        manager = self.manager
        view = admin_view.view(
            **self.frame,
            jobs=tuple(manager.queue.jobs.values()),
            waits={id: standing.wait for id, standing in manager.queue.standings.items()},
            ended=await manager.ended(since=manager.clock() - ENDED_DAYS * 86400, limit=ENDED_ROWS),
            rules=self.rules,
            unknown=manager.problem(),
            remarks=dict.fromkeys(manager.departed(), "may no longer log in"),
            notices=(
                *cautions(self.office.watch.capacity.caution()),
                *strays.notices(self.office.watch.strays),
                *taken.notices(self.office.watch.taken, now=manager.clock()),
            ),
        )
        self.page("admin.html", view)


class AdminJobs(Page):
    """One act on several picked jobs."""

    async def post(self) -> None:
        """303, 400, 403, 404, 409, 503. Jobs before the one that is refused were acted on."""
        action = self.get_body_argument("do", "")
        picked = self.get_body_arguments("job")
        if not picked:
            raise BadInput("job", "nothing", "at least one picked job", code="gpuqueue.pick")
        jobs = [await self.visible(job_id) for job_id in picked]
        for job in jobs:
            await acts.act(self.manager, self.reader, job, action, self.note)
        self.done("admin")


class AdminNode(Page):
    """Drain a server, or take it back."""

    async def post(self, name: str, action: str) -> None:
        """303, 400, 403, 503."""
        if action not in ("drain", "undrain"):
            raise BadInput("action", action, "drain or undrain", code="gpuqueue.action")
        await acts.drain(self.manager, self.reader, name, self.note, drained=action == "drain")
        self.done("admin")


class AdminUser(Page):
    """End all jobs of a user."""

    async def post(self, name: str, action: str) -> None:
        """303, 400, 403, 503."""
        if action != "end":
            raise BadInput("action", action, "end", code="gpuqueue.action")
        await acts.end_all(self.manager, self.reader, name, self.note)
        self.done("admin")

"""Who I am here, and an admin's act on all jobs of a user."""

from __future__ import annotations

from .. import acts
from ..availability import Asked, availability, limits
from ..base import ApiHandler
from ..errors import BadInput
from ..inputs import ActInput, EstimateInput, read


class Me(ApiHandler):
    """The reader, rights and limits."""

    async def get(self) -> None:
        """200."""
        reader = self.reader
        rights = {"read": reader.reads_all, "operate": reader.operates, "admin": reader.administers}
        self.answer(
            {
                "name": reader.name,
                "kind": reader.kind,
                "rights": rights,
                "limits": limits(self.manager, reader.name),
                "problem": self.manager.problem(),
            }
        )


class Estimate(ApiHandler):
    """What would happen to one more request right now."""

    async def post(self) -> None:
        """200, 400."""
        given = read(EstimateInput, self.json_body())
        most = self.manager.policy.max_lease
        if given.lease > most:
            raise BadInput("lease", given.lease, f"at most {most:g} seconds", code="gpuqueue.limit.lease")
        asked = Asked(user=self.reader.name, server="", choices={"it": given.choice()})
        self.answer((await availability(self.manager, asked))["waits"]["it"])


class EndAll(ApiHandler):
    """End every open job of a user."""

    async def post(self, name: str) -> None:
        """200 with the jobs, 403, 503."""
        note = read(ActInput, self.json_body()).note
        jobs = await acts.end_all(self.manager, self.reader, name, note)
        self.answer({"jobs": [self.job(job) for job in jobs]})

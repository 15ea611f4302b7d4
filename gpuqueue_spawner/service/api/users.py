"""Who I am here, and an admin's act on all jobs of a user."""

from __future__ import annotations

from .. import acts, records
from ..availability import Asked, availability
from ..base import UserHandler
from ..inputs import ActInput, EstimateInput, read


class Me(UserHandler):
    """The reader, rights and limits."""

    async def get(self) -> None:
        """200."""
        limits = (await availability(self.manager, Asked(user=self.reader.name, server="", choices={})))["limits"]
        rights = {"read": self.reader.reads_all, "operate": self.reader.operates}
        self.answer({"name": self.reader.name, "kind": self.reader.kind, "rights": rights, "limits": limits})


class Estimate(UserHandler):
    """What would happen to one more request right now."""

    async def post(self) -> None:
        """200, 400."""
        given = read(EstimateInput, self.json_body())
        choices = {"it": (given.resources.resources(), float(given.lease))}
        asked = Asked(user=self.reader.name, server="", choices=choices)
        self.answer((await availability(self.manager, asked))["waits"]["it"])


class EndAll(UserHandler):
    """End every open job of a user."""

    async def post(self, name: str) -> None:
        """200 with the jobs, 403, 503."""
        note = read(ActInput, self.json_body()).note
        jobs = await acts.end_all(self.manager, self.reader, name, note)
        self.answer({"jobs": [records.job(self.manager, job) for job in jobs]})

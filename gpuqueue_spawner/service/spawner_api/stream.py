"""The one stream of each Hub: which jobs it holds goes up, what happens to them comes down, and both sides beat.

Silence is loss: a Hub that says nothing for a while counts as gone, and what it held is posted again when one is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ...manager.changes import QUEUE, Subscription
from ...manager.hubs import Link
from ...store import StoreUnavailable
from .. import records
from ..base import SpawnerHandler
from ..errors import BadInput
from ..inputs import HelloInput, HoldsInput, read_message

log = logging.getLogger("gpuqueue")

BEAT_S = 5.0
SILENCE_S = 15.0


class Stream(WebSocketHandler, SpawnerHandler):
    """One connected Hub process."""

    def initialize(self) -> None:
        """Nothing was told yet."""
        self._task: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._changes: Subscription | None = None
        self._said: frozenset[int] = frozenset()  # the jobs that it says it holds
        self._told: dict[int, dict[str, Any]] = {}  # what it was told last of each
        self._heard = 0.0  # monotonic seconds, when it last said anything

    def check_origin(self, origin: str) -> bool:
        """No browser comes here, and who comes has shown the secret."""
        return False

    async def on_message(self, message: str | bytes) -> None:
        """A hello, a beat, or the jobs it holds."""
        self._heard = time.monotonic()
        try:
            given = read_message(message)
        except BadInput as error:
            log.warning("a Hub sent what is not understood: %s", error)
            self.close(1008, "not understood")
            return
        match given:
            case HelloInput() if self._task is None:
                holds = frozenset(given.holds)
                self._task = asyncio.create_task(self._serve(given.instance, holds), name=f"hub {given.instance}")
            case HoldsInput() if self._link is not None:
                holds = frozenset(given.holds)
                self._tell_anew(holds - self._said)
                self._said = holds
                self.office.hubs.holds(self._link, holds)

    def on_close(self) -> None:
        """The connection is gone."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, instance: str, holds: frozenset[int]) -> None:
        log.info("Hub %s connected, it holds %s jobs", instance, len(holds))
        try:
            with self.office.hubs.connected(instance, holds) as self._link:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._beat(), name="beat")
                    tasks.create_task(self._tell(), name="tell")
        except* (WebSocketClosedError, StoreUnavailable) as error:
            log.warning("Hub %s: %s", instance, error.exceptions[0] or "it closed the connection")
        finally:
            log.info("Hub %s is gone", instance)
            self.close()  # it connects again, and is told everything anew

    async def _beat(self) -> None:
        while True:
            if time.monotonic() - self._heard > SILENCE_S:
                self.close(1001, "silent")
                return  # on_close() cancels the rest
            await self._send({"type": "beat"})
            await asyncio.sleep(BEAT_S)

    async def _tell(self) -> None:
        """Every job it holds once, then each change of one of them."""
        with self.manager.changes.subscribe() as changes:
            self._changes = changes
            while True:
                link = self._link
                assert link is not None
                for id in sorted(link.holds):
                    await self._tell_job(id)
                for id in [id for id in self._told if id not in link.holds]:
                    del self._told[id]
                await changes.next()

    def _tell_anew(self, jobs: frozenset[int]) -> None:
        """A Hub drops what it is told of a job before it knows that it holds it."""
        for id in jobs:
            self._told.pop(id, None)
        if self._changes is not None:
            self._changes.tell(QUEUE)

    async def _tell_job(self, id: int) -> None:
        job = self.manager.queue.jobs.get(id) or await self.manager.job(id)
        if job is not None:
            view = records.job(self.manager, job)
            if self._told.get(id) != view:
                self._told[id] = view
                await self._send({"type": "job", "job": view})

    async def _send(self, message: dict[str, Any]) -> None:
        await self.write_message(json.dumps(message))

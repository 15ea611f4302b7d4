"""The one stream of each Hub: which jobs it holds goes up, what happens to them and what must go comes down, and both
sides beat.

Silence is loss: a Hub that says nothing for a while counts as gone, and what it held is posted again when one is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ...manager import NotLeading
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
PORTION = 20  # jobs told in one go, before others get a turn: when one starts, the places of thousands change


class Silent(Exception):
    """A Hub that says nothing."""

    def __init__(self) -> None:
        super().__init__(f"silent for {SILENCE_S:g} s")


class Stream(WebSocketHandler, SpawnerHandler):
    """One connected Hub process."""

    def initialize(self) -> None:
        """Nothing was told yet."""
        self._task: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._changes: Subscription | None = None
        self._said: frozenset[str] = frozenset()  # the jobs that it says it holds
        self._told: dict[str, dict[str, Any]] = {}  # what it was told last of each
        self._keys: dict[int, str] = {}  # of jobs by id: one may end in the database without this process seeing it
        self._fresh: set[str] = set()  # it says since the last look that it holds them
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
                self._said = frozenset(given.holds)
                self._task = asyncio.create_task(self._serve(given.instance), name=f"hub {given.instance}")
            case HoldsInput() if self._link is not None:
                self._holds(frozenset(given.holds))

    def on_close(self) -> None:
        """The connection is gone."""
        if self._task is not None:
            self._task.cancel()

    async def _serve(self, instance: str) -> None:
        log.info("Hub %s connected, it holds %s jobs", instance, len(self._said))
        try:
            with self.office.hubs.connected(instance, self._said) as self._link:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._beat(), name="beat")
                    tasks.create_task(self._tell(), name="tell")
        except* (Silent, NotLeading, WebSocketClosedError, StoreUnavailable) as error:
            log.warning("Hub %s: %s", instance, str(error.exceptions[0]) or "it closed the connection")
        finally:
            log.info("Hub %s is gone", instance)
            self.close()  # it connects again, and is told everything anew

    async def _beat(self) -> None:
        while (left := self._heard + SILENCE_S - time.monotonic()) > 0:
            await self._send({"type": "beat"})
            await self._tell_leftovers()
            await asyncio.sleep(min(BEAT_S, left))
            self.manager.leading()  # the one that leads admits nobody while the Hub stays here
        raise Silent

    async def _tell_leftovers(self) -> None:
        """What it must delete; again with each beat, until it is gone."""
        instance = self.office.leftovers.capacity.instance
        pods = [
            {"namespace": each.namespace, "instance": instance, "key": each.key, "launch": each.launch}
            for each in self.office.leftovers.due[:PORTION]
        ]
        if pods:
            await self._send({"type": "clear", "pods": pods})

    async def _tell(self) -> None:
        """Every job it holds once, then each change of one of them; whose turn has come is told first."""
        with self.manager.changes.subscribe() as changes:
            self._changes = changes
            due = self._in_turn(self._said)  # the next one last
            while True:
                portion = [due.pop() for _ in range(min(PORTION, len(due)))]
                ends = records.releases(self.manager) if portion else []
                for key in portion:
                    await self._tell_job(key, ends)
                await asyncio.sleep(0)
                news = self._news(changes.so_far() if due else await changes.next())
                if news:
                    due = [key for key in due if key in self._said and key not in news] + self._in_turn(news)

    def _news(self, dirty: Iterable[str | int]) -> set[str]:
        """Who of those that it holds is to be told anew."""
        found = self._fresh | {self._keys[id] for id in dirty if isinstance(id, int) and id in self._keys}
        self._fresh = set()
        return found & self._said

    def _in_turn(self, keys: Iterable[str]) -> list[str]:
        for key in keys:
            if (job := self.manager.queue.of_key(key)) is not None:
                self._keys[job.id] = key
        return sorted(keys, key=self._urgency, reverse=True)

    def _urgency(self, key: str) -> tuple[bool, int, str]:
        """Who holds GPUs and does not know it yet comes first, then the front of the line."""
        job = self.manager.queue.of_key(key)
        if job is None or not job.waiting:
            return (False, 0, key)
        standing = self.manager.queue.standings.get(job.id)
        return (True, standing.wait.place if standing else 0, key)

    def _holds(self, holds: frozenset[str]) -> None:
        """A Hub drops what it is told of a job before it knows that it holds it: such a job is told anew."""
        for key in holds ^ self._said:
            if (id := self._told.pop(key, {}).get("id")) is not None:
                self._keys.pop(id, None)
        self._fresh |= holds - self._said
        self._said = holds
        if self._link is not None:
            self.office.hubs.holds(self._link, holds)
        if self._changes is not None:
            self._changes.tell(QUEUE)

    async def _tell_job(self, key: str, ends: list[dict[str, Any]]) -> None:
        job = await self.manager.job_of_key(key)
        if job is None:  # after a restored backup: the Hub asks again by itself
            self._told[key] = {}
            return
        self._keys[job.id] = key
        view = records.for_spawner(self.manager, job, ends=ends)
        if self._told.get(key) != view:
            self._told[key] = view
            await self._send({"type": "job", "job": view})

    async def _send(self, message: dict[str, Any]) -> None:
        await self.write_message(json.dumps(message))

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
PORTION = 20  # leftovers told in one go
# Seconds. When one starts, the places of thousands change: they are told for so long at a time, and everything else has
# its turn for five times as long. Each step of the next start, from a pod's end to the permit, would wait for them all.
SLICE_S, REST_S = 0.005, 0.025


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
        # The id of each, and a hash of what it was told last: of thousands, what was told is half of the memory.
        self._told: dict[str, tuple[int, int]] = {}
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
        """Every job it holds once, then each change of one of them; whose turn has come is told first, and at once."""
        with self.manager.changes.subscribe() as changes:
            self._changes = changes
            due = self._in_turn(self._said)  # the next one last
            rests_until = 0.0
            while True:
                rested = time.monotonic() >= rests_until
                due = await self._tell_some(due, rested=rested)
                if rested:
                    rests_until = time.monotonic() + REST_S
                if news := self._news(await changes.next(within=rests_until - time.monotonic() if due else None)):
                    due = [key for key in due if key in self._said and key not in news] + self._in_turn(news)

    async def _tell_some(self, due: list[str], *, rested: bool) -> list[str]:
        """Tell those whose turn has come, and where it has rested, for a slice those that wait; returns who is left."""
        if not due or (self._waits(due[-1]) and not rested):
            return due
        ends = records.releases(self.manager)  # of thousands that run it takes as long as a slice, and is none of it
        until = time.monotonic() + SLICE_S if rested else 0.0
        sent = []
        while due and (not self._waits(due[-1]) or time.monotonic() < until):
            if news := await self._news_of(due.pop(), ends):
                sent.append(self.write_message(news))
        await asyncio.gather(*sent)
        return due

    def _news(self, dirty: Iterable[str | int]) -> set[str]:
        """Who of those that it holds is to be told anew."""
        found = self._fresh | {self._keys[id] for id in dirty if isinstance(id, int) and id in self._keys}
        self._fresh = set()
        return found & self._said

    def _in_turn(self, keys: Iterable[str]) -> list[str]:
        """Who holds GPUs and does not know it yet comes last, the front of the line before."""
        queue, ranked = self.manager.queue, []
        for key in keys:
            job = queue.of_key(key)
            if job is not None:
                self._keys[job.id] = key
            waits = job is not None and job.waiting
            standing = queue.standings.get(job.id) if job is not None and waits else None
            ranked.append((waits, standing.wait.place if standing else 0, key))
        ranked.sort(reverse=True)
        return [key for _, _, key in ranked]

    def _waits(self, key: str) -> bool:
        job = self.manager.queue.of_key(key)
        return job is not None and job.waiting

    def _holds(self, holds: frozenset[str]) -> None:
        """A Hub drops what it is told of a job before it knows that it holds it: such a job is told anew."""
        for key in holds ^ self._said:
            if key in self._told:
                self._keys.pop(self._told.pop(key)[0], None)
        self._fresh |= holds - self._said
        self._said = holds
        if self._link is not None:
            self.office.hubs.holds(self._link, holds)
        if self._changes is not None:
            self._changes.tell(QUEUE)

    async def _news_of(self, key: str, ends: list[dict[str, Any]]) -> str:
        """The message that tells what it has not been told of a job; empty: there is nothing."""
        job = await self.manager.job_of_key(key)
        if job is None:  # after a restored backup: the Hub asks again by itself
            self._told.pop(key, None)
            return ""
        self._keys[job.id] = key
        message = json.dumps({"type": "job", "job": records.for_spawner(self.manager, job, ends=ends)})
        told = (job.id, hash(message))
        if self._told.get(key) == told:
            return ""
        self._told[key] = told
        return message

    async def _send(self, message: dict[str, Any]) -> None:
        await self.write_message(json.dumps(message))

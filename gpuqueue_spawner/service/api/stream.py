"""One event stream for a reader: it tells that something changed, and the page asks for what it shows.

At most two events a second; ended within half a minute when the reader's token is revoked. A page that gets none asks
by itself now and then, so that one reader too many costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import suppress

from tornado.iostream import StreamClosedError

from ...manager.changes import Subscription
from ..base import ApiHandler
from ..errors import Forbidden, HubAway, TooManyStreams

PACE_S = 0.5
BEAT_S = 5.0
CHECK_S = 10.0  # the Hub is asked anew this often whether the reader may still read
STREAMS = 50  # of one reader at a time
TAKE_S = 10.0  # a reader that takes nothing for this long is gone, and what waits for it would fill the memory


class EventStream(ApiHandler):
    """Server-sent events."""

    _open = True

    def on_connection_close(self) -> None:
        """Nobody reads any more."""
        self._open = False

    async def get(self) -> None:
        """200 and events until the reader leaves; 401, 429."""
        following, name = self.settings["streams"], self.reader.name
        if following[name] >= STREAMS:
            raise TooManyStreams(STREAMS)
        following[name] += 1
        try:
            await self._follow()
        finally:
            following[name] -= 1
            following += Counter()  # forgets whom it counts no more

    async def _follow(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        checked = time.monotonic()
        with self.manager.changes.subscribe() as changes, suppress(StreamClosedError, TimeoutError):
            await self._send({"changed": ["all"]})
            while self._open and self.manager.fence is not None:  # the reader comes again, to the manager that leads
                await asyncio.sleep(PACE_S)
                await self._send(await self._next(changes))
                if time.monotonic() - checked > CHECK_S:
                    checked = time.monotonic()
                    if not await self._still_allowed():
                        return

    async def _next(self, changes: Subscription) -> dict[str, object] | None:
        """What changed for this reader; None when nothing did for a while."""
        try:
            async with asyncio.timeout(BEAT_S):
                dirty = await changes.next()
        except TimeoutError:
            return None
        mine = sorted(str(each) for each in dirty if self._mine(each))
        return {"changed": mine} if mine else None

    def _mine(self, what: str | int) -> bool:
        if isinstance(what, str):
            return True
        job = self.manager.queue.jobs.get(what) or self.manager.queue.ended.get(what)
        return job is not None and self.reader.sees(job)

    async def _send(self, event: dict[str, object] | None) -> None:
        self.write(f"data: {json.dumps(event)}\n\n" if event else ": beat\n\n")
        async with asyncio.timeout(TAKE_S):
            await self.flush()

    async def _still_allowed(self) -> bool:
        """Ask again who reads: a token may be revoked, a right may be gone."""
        try:
            model = await self.ask_whose()
            if model is not None:
                self.reader = self.let_in(model)
        except (Forbidden, HubAway):
            return False
        return model is not None

"""What the queue must be told even though it does not answer: that a server was stopped, and how one ended.

Kept in order, in memory and in a file, from before the first try until the queue has
answered: neither the queue's absence nor the end of this Hub loses it. Who speaks: queueing.py. Over what: client.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import traitlets.log

from .errors import QueueRefused, QueueUnreachable

JOBS = "/spawner/v1/jobs"
FILE = "gpuqueue_unsent.json"  #: in the Hub's working folder, as JupyterHub's own files are


@dataclass(frozen=True, kw_only=True)
class Message:
    """One thing to tell. To tell it twice is harmless."""

    path: str
    body: Mapping[str, Any]
    withdraw: bool = False  #: the body is a request whose answer was lost: what job it became is learnt, then stopped


class Unsent:
    """What was not answered yet."""

    def __init__(
        self, post: Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]], *, instance: str, path: Path | None
    ) -> None:
        self.log = traitlets.log.get_logger()
        self._post = post
        self._instance = instance
        self._path = path  #: None: in memory only
        self._messages: list[Message] = _read(path, self.log) if path else []
        self._flushing = asyncio.Lock()
        self._saving = asyncio.Lock()

    def stop(self, job: str) -> Message:
        """Cancel a waiting job, end a running one; `job` is its key."""
        return Message(path=f"{JOBS}/{job}/stop", body={"instance": self._instance})

    async def tell(self, message: Message, *, within: float) -> bool:
        """Tell it now, or later; returns whether the queue was told within so many seconds."""
        if message not in self._messages:
            self._messages.append(message)
            await self._save()
        try:
            async with asyncio.timeout(within):
                await self.flush()
        except (TimeoutError, QueueUnreachable) as error:
            self.log.warning("The queue is told later (%s): %s", message.path, str(error) or "no answer")
            return False
        return True

    async def flush(self) -> None:
        """Tell everything, the oldest first.

        :raises QueueUnreachable: there is no answer yet.
        """
        async with self._flushing:
            while self._messages:
                message = self._messages[0]
                await self._deliver(message)
                self._messages.remove(message)
                await self._save()

    async def keep_trying(self, *, every: float) -> None:
        """Tell what is left, again and again, until cancelled."""
        while True:
            await asyncio.sleep(every)
            with suppress(QueueUnreachable):
                await self.flush()

    async def _deliver(self, message: Message) -> None:
        try:
            answer = await self._post(message.path, message.body)
            if message.withdraw:
                follow = self.stop(str(answer["job"]["key"]))
                await self._post(follow.path, follow.body)
        except QueueRefused as refused:
            self.log.info("Nothing to tell the queue any more (%s): %s", message.path, refused.message)
        except QueueUnreachable as error:
            if not error.fault:
                raise
            # It would fail on it for ever, and all that comes after would wait.
            self.log.error("The queue failed on %s, which is dropped: %s", message.path, error)

    async def _save(self) -> None:
        if self._path is None:
            return
        async with self._saving:
            text = json.dumps([asdict(message) for message in self._messages])
            try:
                await asyncio.to_thread(_write, self._path, text)
            except OSError as error:  # it is told all the same while this Hub lives
                self.log.error("What the queue was not told yet cannot be kept in %s: %s", self._path, error.strerror)


def _read(path: Path, log: Any) -> list[Message]:
    try:
        return [Message(**each) for each in json.loads(path.read_bytes())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:  # a Hub must start all the same
        log.error("What the queue was not told yet cannot be read from %s: %s", path, error)
        return []


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole, on the disk before anything depends on it."""
    beside = path.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)

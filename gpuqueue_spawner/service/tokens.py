"""Whose token it is: asks the Hub, one question a token at a time and each of them bounded, and remembers the answers.

Knows tokens and models, no HTTP. An answer is believed for seconds, since tokens are revoked. While the Hub does not
answer, a token that it named lately may go on reading, so that pages still tell what is wrong; it may change nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .errors import HubAway

log = logging.getLogger("gpuqueue")

FRESH_S = 5.0  # a revoked token lives on for this long
STALE_S = 15 * 60.0  # a Hub that is away for longer takes the pages with it
LIMIT_S = 5.0  # seconds that one question may take
PATIENCE_S = 1.0  # seconds that a known token waits for the Hub before its last answer is taken
KEPT = 10_000  # answers kept; whoever sends more tokens than that has to wait for the Hub each time
TOKEN = re.compile(r"[!-~]{1,500}")  # the Hub gives out nothing else; its own have 32 characters

Model = dict[str, Any]  #: what the Hub says of a token: name, kind, scopes
Ask = Callable[[str], Awaitable[Model | None]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the Hub said of a token; no model: nobody's."""

    model: Model | None
    at: float  #: monotonic seconds


class Tokens:
    """The Hub's answers about tokens. Kept by a hash: no token stays in memory for longer than its request."""

    def __init__(self, ask: Ask, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._answers: dict[bytes, Answer] = {}
        self._questions: dict[bytes, asyncio.Task[Model | None]] = {}
        self._silent = False  # the last question got no answer

    async def model(self, token: str, *, reads: bool) -> Model | None:
        """Find out whose it is; None: nobody's.

        :param reads: whether the request changes nothing, so that an older answer will do while the Hub is away.
        :raises HubAway: the Hub did not answer, and nothing is known that will do.
        """
        if not TOKEN.fullmatch(token):
            return None
        key = hashlib.sha256(token.encode("ascii")).digest()
        known = self._answers.get(key)
        if known and self._clock() - known.at < FRESH_S:
            return known.model
        question = self._questions.get(key) or self._begin(key, token)
        old = known.model if known and reads and self._clock() - known.at < STALE_S else None
        if old and self._silent:
            return old
        try:
            async with asyncio.timeout(PATIENCE_S if old else LIMIT_S):
                return await asyncio.shield(question)
        except (TimeoutError, HubAway):
            if old is None:
                raise HubAway from None
            return old

    def _begin(self, key: bytes, token: str) -> asyncio.Task[Model | None]:
        """Ask in a task of its own, which ends within the limit, also when whoever waited for it has left."""
        task = asyncio.create_task(self._question(key, token), name="whose token")
        self._questions[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def _question(self, key: bytes, token: str) -> Model | None:
        try:
            async with asyncio.timeout(LIMIT_S):
                model = await self._ask(token)
        except Exception as error:  # the clients of the Hub's versions share no class of faults
            if not self._silent:
                log.warning("the Hub does not say whose a token is: %s", error or type(error).__name__)
            self._silent = True
            raise HubAway from None
        self._silent = False
        self._answers[key] = Answer(model=dict(model) if model else None, at=self._clock())
        return self._answers[key].model

    def _ended(self, key: bytes, task: asyncio.Task[Model | None]) -> None:
        del self._questions[key]
        if not task.cancelled():
            task.exception()  # seen: whoever still waits gets it too
        if len(self._answers) > KEPT:
            self._forget()

    def _forget(self) -> None:
        now = self._clock()
        keep = {key: answer for key, answer in self._answers.items() if now - answer.at < FRESH_S or answer.model}
        newest = sorted(keep.items(), key=lambda item: item[1].at)[-KEPT // 2 :]
        self._answers = dict(newest)

"""Calls that may block for ever, in a thread of their own, one at a time, each bounded: the event loop never waits.

Knows nothing of what is called. Used for SQL (database.py) and for looks at the machine (watching.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OneThread:
    """A thread that carries out one call after the other.

    A call that ran out of its time may still be carried out. At most one call is ever in that state, since the next one
    is handed over only when the thread is free again.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._turn = asyncio.Lock()
        self._running: asyncio.Future[Any] | None = None

    async def call(self, limit: float, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `method` in the thread; `limit` is in seconds, waiting for a turn included.

        :raises TimeoutError: no answer within the limit.
        """
        async with asyncio.timeout(limit), self._turn:
            while self._running is not None and not self._running.done():
                await asyncio.wait([self._running])  # the call that was given up has not come back yet
            job = partial(method, *args, **kwargs)
            self._running = future = asyncio.get_running_loop().run_in_executor(self._pool, job)
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                future.add_done_callback(_retrieve)
                raise

    async def close(self) -> None:
        """Let the running call end."""
        await asyncio.to_thread(self._pool.shutdown)


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # nobody waits for it any more: its fault was told as a time-out

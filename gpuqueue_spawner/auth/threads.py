"""A bounded number of threads for calls that block, each call with a time limit for whoever waits for it.

Knows threads, nothing of what runs in them. Who needs it: directory.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """Runs blocking calls beside the event loop.

    A call that its caller gave up keeps its place until it really ends: whatever hangs, no more than `most` threads
    do. They are daemons, so that a hanging call never holds up the end of the process, as an executor's would.
    """

    def __init__(self, name: str, *, most: int) -> None:
        self.name = name
        self._free = asyncio.Semaphore(most)

    async def call(self, function: Callable[[], T], *, within: float) -> T:
        """The function's result.

        :raises TimeoutError: no thread became free, or the function did not end, within so many seconds.
        """
        async with asyncio.timeout(within):
            await self._free.acquire()
            return await self._start(function)

    def _start(self, function: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def done(result: T | None, error: BaseException | None) -> None:
            self._free.release()
            if future.done():
                return  # its caller is gone
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # there is a result where there is no error

        def run() -> None:
            result, error = None, None
            try:
                result = function()
            except BaseException as caught:
                error = caught
            if not loop.is_closed():
                loop.call_soon_threadsafe(done, result, error)

        threading.Thread(target=run, name=self.name, daemon=True).start()
        return future

"""The one thread that speaks SQL, and what is known of the database's health.

Knows that a call may take forever or end in doubt. What is read and written: store/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..store import Store, StoreUnavailable
from .threads import OneThread

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Calls into the store, one at a time, each bounded."""

    def __init__(self, store: Store, *, limit: float = 10.0) -> None:
        self.store = store
        self.limit = limit  #: seconds that one call may take, waiting for its turn included
        self.problem = ""  #: why the last call failed, in words; empty while all is well
        self.doubt = False  #: a call's outcome is unknown: read anew before the next write
        self.doubted: Callable[[], None] = lambda: None  #: called when it becomes so
        self._thread = OneThread("store")

    async def call(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the store in its thread.

        :raises StoreUnavailable: the database refused, failed, or did not answer within the limit.
        """
        try:
            result = await self._thread.call(self.limit, method, *args, **kwargs)
        except TimeoutError:
            self.problem = f"the database has not answered for {self.limit:g} s"
            self._in_doubt()
            raise StoreUnavailable(self.problem) from None
        except asyncio.CancelledError:
            self._in_doubt()  # whoever asked is gone; the write may be carried out all the same
            raise
        except StoreUnavailable as error:
            self.problem = str(error)
            self._in_doubt()  # a connection that broke in a COMMIT does not tell whether it was carried out
            raise
        self.problem = ""
        return result

    def _in_doubt(self) -> None:
        self.doubt = True
        self.doubted()

    async def close(self) -> None:
        """Let the running call end, then close the store."""
        await self._thread.close()
        self.store.close()

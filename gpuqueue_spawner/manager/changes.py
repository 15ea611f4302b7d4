"""Who wants to know when what changed. Knows names of things, not the things: a reader looks them up itself.

A slow reader never holds anybody up: what changed several times before it looks is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

QUEUE = "queue"  #: places, estimates, who waits
NODES = "nodes"  #: what is free
HEALTH = "health"  #: something is away or came back


class Subscription:
    """What changed since its reader last asked."""

    def __init__(self) -> None:
        self._dirty: set[str | int] = set()
        self._ring = asyncio.Event()

    def tell(self, *what: str | int) -> None:
        """Note changes: jobs' ids, or the names above."""
        self._dirty.update(what)
        if what:
            self._ring.set()

    async def next(self, *, within: float | None = None) -> frozenset[str | int]:
        """Wait for changes and take them all; `within`: for at most so many seconds, and there may be none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._ring.wait()
        self._ring.clear()
        dirty, self._dirty = frozenset(self._dirty), set()
        return dirty


class Changes:
    """Tells every subscription."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def publish(self, *what: str | int) -> None:
        """Tell all readers that these changed."""
        for subscription in self._subscriptions:
            subscription.tell(*what)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Listen while the block runs."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

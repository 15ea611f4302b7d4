"""Which Hub is connected, and which jobs it holds in a waiting start().

Knows connections only; what travels over them is service/spawner_api/stream.py. What is done about a job that no Hub
holds: resume.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Link:
    """One connected Hub process."""

    instance: str  #: random, of this Hub process
    holds: frozenset[str] = field(default_factory=frozenset)  #: keys of the jobs that wait in one of its start()


class Hubs:
    """The connected Hub processes; usually one, two for a moment around a restart."""

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._asked: Counter[str] = Counter()
        self.ring = asyncio.Event()  #: a Hub came, went, or holds other jobs
        self.came_or_went: Callable[[bool], None] = lambda present: None  #: told at once whether any is connected

    @contextmanager
    def connected(self, instance: str, holds: Iterable[str]) -> Iterator[Link]:
        """Count a Hub in while the block runs."""
        link = Link(instance=instance, holds=frozenset(holds))
        self._links.append(link)
        self._moved()
        try:
            yield link
        finally:
            self._links.remove(link)
            self._moved()

    def _moved(self) -> None:
        self.came_or_went(self.present)
        self.ring.set()

    def holds(self, link: Link, jobs: Iterable[str]) -> None:
        """Take over what a Hub says that it holds."""
        link.holds = frozenset(jobs)
        self.ring.set()

    def hold(self, instance: str, key: str) -> None:
        """Note that a Hub has just asked for this job, before it says so itself."""
        for link in self._links:
            if link.instance == instance:
                link.holds |= {key}

    def holds_in(self, instance: str, key: str) -> bool:
        """Whether this Hub process waits for the job in a start()."""
        return any(link.instance == instance and key in link.holds for link in self._links)

    @contextmanager
    def asked(self, key: str) -> Iterator[None]:
        """While the block runs, the queue itself asks the Hub to stop this job's server: no person does."""
        self._asked[key] += 1
        try:
            yield
        finally:
            self._asked[key] -= 1
            self._asked += Counter()  # without what is at zero

    def is_asked(self, key: str) -> bool:
        """Whether a stop of this job's server that comes from the Hub now is the queue's own."""
        return key in self._asked

    @property
    def present(self) -> bool:
        """Whether any Hub is connected."""
        return bool(self._links)

    @property
    def newest(self) -> str:
        """The instance that connected last; empty without one."""
        return self._links[-1].instance if self._links else ""

    def held(self, key: str) -> bool:
        """Whether a connected Hub waits for this job in a start()."""
        return any(key in link.holds for link in self._links)

    def held_keys(self) -> frozenset[str]:
        """Every job that a connected Hub waits for in a start()."""
        first, *others = [link.holds for link in self._links] or [frozenset()]
        return first.union(*others) if others else first  # thousands, and nearly always of one Hub

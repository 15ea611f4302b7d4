"""Objects by name, each on a shelf that it says itself: of thousands of shelves few change between two looks.

Knows names and shelves only. What the objects of a shelf come to is kept beside it: kept.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelved(Generic[T]):
    """The objects. For one thread at a time."""

    def __init__(self, shelf: Callable[[T], str]) -> None:
        self._shelf = shelf
        self._shelf_of: dict[str, str] = {}  # by name
        self._on: dict[str, dict[str, T]] = {}  # by shelf, then by name
        self._shown: dict[str, tuple[T, ...]] = {}  # by shelf, as of the last look
        self._touched: set[str] = set()  # shelves, since the last look

    def __iter__(self) -> Iterator[T]:
        return (each for shelf in self._on.values() for each in shelf.values())

    def put(self, name: str, it: T) -> T | None:
        """Take a new object, or the new state of one; returns what it was."""
        before = self.get(name)
        if it == before:
            return before
        shelf = self._shelf(it)
        if shelf != self._shelf_of.get(name):
            self.remove(name)
            self._shelf_of[name] = shelf
        self._on.setdefault(shelf, {})[name] = it
        self._touched.add(shelf)
        return before

    def get(self, name: str) -> T | None:
        """What is known of one; None: nothing."""
        shelf = self._shelf_of.get(name)
        return None if shelf is None else self._on[shelf][name]

    def remove(self, name: str) -> T | None:
        """Forget one; returns what it was."""
        shelf = self._shelf_of.pop(name, None)
        if shelf is None:
            return None
        it = self._on[shelf].pop(name)
        self._touched.add(shelf)
        if not self._on[shelf]:
            del self._on[shelf]
        return it

    def shelves(self) -> Mapping[str, tuple[T, ...]]:
        """All of them. One on which nothing changed is the same tuple again."""
        for shelf in self._touched:
            if shelf in self._on:
                self._shown[shelf] = tuple(self._on[shelf].values())
            else:
                self._shown.pop(shelf, None)
        self._touched.clear()
        return dict(self._shown)

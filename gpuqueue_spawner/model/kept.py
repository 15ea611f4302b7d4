"""The last answer to each of many questions, for as long as the question stays the same: of thousands few change.

Knows equality only. Whoever asks gets what the question alone decides, only sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Kept(Generic[Q, A]):
    """Answers by name. Questions are tuples of records: the same record is known at once, an equal one is compared."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Q, A]] = {}

    def answers(self, questions: Iterable[tuple[str, Q]], answer: Callable[[Q], A]) -> tuple[A, ...]:
        """Answer all of them, each with a name of its own, in their order; names that are not asked are forgotten."""
        kept: dict[str, tuple[Q, A]] = {}
        for name, question in questions:
            before = self._kept.get(name)
            same = before is not None and before[0] == question
            kept[name] = (question, before[1] if before is not None and same else answer(question))
        self._kept = kept
        return tuple(found for _, found in kept.values())

    def forget(self, name: str) -> None:
        """Answer this one anew the next time: its answer was used up."""
        self._kept.pop(name, None)

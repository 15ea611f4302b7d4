"""What may not be seen broken, not even once: a test that fails by one of these gets no second run (scripts/tests)."""

from __future__ import annotations


class PromiseBroken(AssertionError):
    """A request was lost, or a GPU was given twice."""


def promise(kept: bool, broken: str) -> None:
    """Fail with `broken`, the words that say what was broken."""
    if not kept:
        raise PromiseBroken(broken)

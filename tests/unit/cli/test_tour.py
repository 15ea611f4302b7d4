"""The story of the tour notices whatever is not as it should be: with people who read what a broken site would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpuqueue_spawner.cli.supervisor import Printer
from gpuqueue_spawner.cli.tour.steps import NOTE, READS, Tour, Wait, Wrong
from gpuqueue_spawner.cli.tour.visit import _take

GPUS = ("GPU-0", "GPU-1", "GPU-2", "GPU-3")


@dataclass
class Book:
    """What the queue knows, and one thing that a broken site does differently."""

    broken: str = ""
    url: str = ""
    private: Path = Path()
    gpus: int = 4
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    waits: dict[str, int] = field(default_factory=dict)
    file: str = ""

    def job(self, user: str) -> Any:
        return SimpleNamespace(id=99 if self.broken == "another job" and self.killed else 3)

    def devices(self, user: str) -> tuple[str, ...]:
        return self.held.get(user, ())

    killed: bool = False

    def kill_hub(self) -> int:
        self.killed = True
        return 4711


class Somebody:
    """A person at that site."""

    def __init__(self, book: Book, name: str) -> None:
        self.book, self.name = book, name

    def log_in(self) -> None:
        """By no form."""

    def shot(self, name: str) -> None:
        """Of nothing."""

    def ask(self, gpus: int, *, name: str) -> None:
        self.book.waits[self.name] = gpus

    def arrives(self) -> None:
        gpus = self.book.waits.pop(self.name)
        taken = {device for devices in self.book.held.values() for device in devices}
        free = [device for device in GPUS if device not in taken or self.book.broken == "double grant"]
        if self.book.broken == "other GPUs" and self.name == "carol":
            free = [*reversed(GPUS)]
        self.book.held[self.name] = tuple(free[:gpus])

    def wait(self) -> Wait:
        place = 2 if self.book.broken == "no place" or (self.book.broken == "lost place" and self.book.killed) else 1
        start = "" if self.book.broken == "no estimate" else "12:00"
        return Wait(place=place, of=1, start=start, why="" if self.book.broken == "no reason" else "Waits.")

    def is_told_to_wait(self) -> str:
        return "Your place is kept."

    def is_told_of_the_end(self) -> str:
        return "cancelled" if self.book.broken == "no note" else f"cancelled: {NOTE}"

    def run(self, code: str) -> str:
        if code == READS:
            return "" if self.book.broken == "no file" else self.book.file
        seen = GPUS if self.book.broken == "sees all" else self.book.held[self.name]
        self.book.file = f"written on {','.join(seen)}"
        return ",".join(seen) + "\n"

    def stop(self, name: str) -> None:
        self.book.held.pop(self.name)

    def queue(self) -> list[str]:
        rows = ["1. whole machine alice 4 GPUs"]
        return rows * 2 if self.book.broken == "a stranger in the queue" else rows

    def drop(self, name: str, *, note: str) -> None:
        """As asked."""


@pytest.fixture
def tour() -> Callable[[str], int]:
    def take(broken: str) -> int:
        book = Book(broken=broken)
        people: dict[str, Any] = {name: Somebody(book, name) for name in ("alice", "bob", "carol", "dana")}
        return _take(Tour(book, people.__getitem__), people, (Wrong,), Printer(colour=False))  # type: ignore[arg-type]

    return take


def test_a_site_that_works_passes(tour: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    """One line a step."""
    assert tour("") == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == [f"{step}." for step in range(1, 8)]


@pytest.mark.parametrize(
    ("broken", "step"),
    [
        ("double grant", 1),
        ("no place", 2),
        ("no estimate", 2),
        ("no reason", 2),
        ("lost place", 3),
        ("another job", 3),
        ("other GPUs", 4),
        ("sees all", 5),
        ("no file", 6),
        ("a stranger in the queue", 7),
        ("no note", 7),
    ],
)
def test_a_site_that_breaks_one_promise_fails_at_that_step(
    tour: Callable[[str], int], capsys: pytest.CaptureFixture[str], broken: str, step: int
) -> None:
    """Exit status 1, and the last line says what was seen."""
    assert tour(broken) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"tour    {step}. ")
    assert "FAILED" in last

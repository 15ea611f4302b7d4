"""Runs the doctor for a test and returns what it found, by check."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from gpuqueue_spawner.cli import main


@dataclass(frozen=True, kw_only=True)
class Told:
    """One line of its answer."""

    outcome: str
    seen: str
    todo: tuple[str, ...]

    @property
    def words(self) -> str:
        """Everything that an admin reads."""
        return " ".join([self.seen, *self.todo])


def examined(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Told]:
    """What `gpuqueue doctor` finds; its exit status says whether one of it is a problem."""
    capsys.readouterr()
    status = main(["doctor", "--json", *map(str, arguments)])
    checks = json.loads(capsys.readouterr().out)["checks"]
    found = {
        each["name"]: Told(outcome=each["outcome"], seen=each["seen"], todo=tuple(each["todo"])) for each in checks
    }
    assert status == int(any(each.outcome == "problem" for each in found.values()))
    return found


def problems(found: dict[str, Told]) -> set[str]:
    """Names of the checks with a problem."""
    return {name for name, each in found.items() if each.outcome == "problem"}

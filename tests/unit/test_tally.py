"""Which failures of a tier are tried once more, and how a run is closed: scripts/tally.py."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from tests.services.promises import PromiseBroken, promise

TALLY = Path(__file__).parents[2] / "scripts" / "tally.py"
Report = Callable[..., None]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Write a report as pytest does: outcome by test, and the words of what failed."""

    def write(tier: str, outcomes: Mapping[str, str], *, words: str = "AssertionError: no") -> None:
        inside = {
            "passed": "",
            "failed": f"<failure message={quoteattr(words)}>at line 3</failure>",
            "error": f"<error message={quoteattr(words)}>in a fixture</error>",
            "skipped": "<skipped/>",
        }
        cases = "".join(
            f'<testcase classname="m" name="{name}">{inside[it]}</testcase>' for name, it in outcomes.items()
        )
        path = tmp_path / "build" / "tests" / f"{tier}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")

    return write


def tally(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run([sys.executable, TALLY, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("outcomes", "words", "again"),
    [
        ({"a": "passed", "b": "failed"}, "AssertionError: no", True),
        ({"a": "passed"}, "", False),
        ({str(n): "failed" for n in range(5)}, "AssertionError: no", True),
        ({str(n): "failed" for n in range(6)}, "AssertionError: no", False),
        ({str(n): "error" for n in range(40)}, "TimeoutError: the site is up", True),
        ({"a": "failed"}, f"tests.services.promises.{PromiseBroken.__name__}: a job was lost", False),
    ],
    ids=["one", "none", "five", "six", "one fixture", "a promise"],
)
def test_a_few_failures_are_tried_once_more(
    report: Report, tmp_path: Path, outcomes: dict[str, str], words: str, again: bool
) -> None:
    report("hub", outcomes, words=words)

    assert (tally(tmp_path, "--again", "hub").returncode == 0) is again


def test_a_tier_that_left_no_report_is_not_tried_again_and_has_failed(report: Report, tmp_path: Path) -> None:
    report("unit", {"a": "passed"})

    assert tally(tmp_path, "--again", "hub").returncode == 1
    assert tally(tmp_path, "unit", "hub").stdout == "1 passed, 1 failed\n"


def test_what_passed_in_the_second_run_is_named(report: Report, tmp_path: Path) -> None:
    report("unit", {"a": "passed", "s": "skipped"})
    report("hub", {"a": "passed", "b": "failed", "c": "failed"})
    report("hub-again", {"b": "passed", "c": "failed"})

    lines = tally(tmp_path, "unit", "hub").stdout.splitlines()

    assert lines == ["failed first, passed when run again alone: m::b", "3 passed, 1 failed, 1 skipped"]


def test_the_word_that_is_looked_for_is_the_exception_s_own() -> None:
    assert runpy.run_path(str(TALLY))["PROMISE"] == PromiseBroken.__name__
    with pytest.raises(PromiseBroken, match="a job was lost"):
        promise(False, "a job was lost")

"""What is computed of measured times, and what is kept of a run."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results import FOLDER, keep, quantile, spread

times = st.lists(st.floats(0, 1000), min_size=1, max_size=200)


@given(times, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_the_smallest_that_so_many_do_not_exceed(seconds: list[float], share: float) -> None:
    """One of those that were measured: nothing is drawn between two of them."""
    ordered = sorted(seconds)

    found = quantile(ordered, share)

    assert sum(each <= found for each in ordered) >= share * len(ordered) - 1e-9
    assert sum(each < found for each in ordered) < share * len(ordered)


def test_of_thirty_the_99th_percentile_is_the_longest() -> None:
    """A goal for 99 of 100 is one for each of thirty."""
    assert spread([*range(29), 100]) == {
        "count": 30,
        "median_ms": 14_500,
        "p90_ms": 26_000,
        "p99_ms": 100_000,
        "max_ms": 100_000,
    }


@given(times)
def test_the_figures_of_a_run_rise(seconds: list[float]) -> None:
    """Whatever was measured, in whatever order."""
    found = spread(seconds)

    figures = [found["median_ms"], found["p90_ms"], found["p99_ms"], found["max_ms"]]
    assert figures[1:] == sorted(figures[1:])
    assert figures[0] <= figures[3]


def test_a_run_is_kept_beside_the_earlier_ones_of_the_day(tmp_path: Path) -> None:
    """With date, machine and commit; no run overwrites another."""
    first, second = (keep("turns-10", {"count": count}, folder=tmp_path / "results") for count in (1, 2))

    documents = [json.loads(path.read_text()) for path in (first, second)]
    day = datetime.date.fromisoformat(documents[0]["date"])
    assert first.name == f"{day}-turns-10.json"
    assert [each["figures"] for each in documents] == [{"count": 1}, {"count": 2}]
    assert documents[0]["machine"].keys() >= {"cpu", "cores", "memory_gib", "load_before", "load_after", "python"}
    assert documents[0]["commit"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_each_file_that_is_kept_names_day_machine_and_commit(path: Path) -> None:
    """So that a figure can be told from one of another machine."""
    document = json.loads(path.read_text())

    assert path.name.startswith(datetime.date.fromisoformat(document["date"]).isoformat())
    assert document["machine"]["cores"] >= 1
    assert document["commit"]
    assert document["figures"]

"""The parts of the manager's work, measured without a cluster."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import plans

from .test_campus import NODES, PODS


def test_each_part_is_measured_as_often_as_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the campus of a trace, however small."""
    monkeypatch.setattr(plans, "WAITING", 20)
    (tmp_path / "alibaba_gpu_2023_nodes.csv").write_text(NODES)
    (tmp_path / "alibaba_gpu_2023_pods.csv").write_text(PODS + "".join(f"p{n},0,0,0\n" for n in range(plans.COUNT)))

    found = plans.measure(tmp_path)

    assert (found["nodes"], found["waiting"]) == (2, 20)
    assert {found[f"{part}_processor_time"]["count"] for part in ("look", "front", "plan")} == {plans.COUNT}


def test_what_sleeps_costs_nothing() -> None:
    """Processor time is not the clock's."""
    took: list[float] = []

    assert plans.timed(lambda: time.sleep(0.5) or "done", took) == "done"
    assert took[0] < 0.4

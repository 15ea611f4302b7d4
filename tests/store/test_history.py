"""The promises of the store as invariants over random histories, on every database."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from gpuqueue_spawner.store import Store

from .builders import request
from .history import History, Told

ROUNDS = {
    "sqlite": 50,
    "postgresql": 20,
    "mariadb": 20,
}  # histories cost the most; a bug of one backend alone shows in few


@pytest.fixture
def machine(store: Store, address: str) -> type[History]:
    """The state machine on one database, which each round finds empty."""
    return type("HistoryOn", (History,), {"address": address})


def test_random_histories_break_no_promise(machine: type[History], backend: str) -> None:
    """Devices and open jobs stay unique, versions rise, no acknowledged job is lost, each log leads to its state."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=ROUNDS[backend],
            stateful_step_count=80,
        ),
    )


def test_broken_promise_is_told_with_the_story_of_its_job(machine: type[History]) -> None:
    """The machine does see a wrong state, and prints the log of the job in question."""
    history = machine()
    try:
        history.lead("one")
        store: Store = history.managers["one"]
        job, _ = store.jobs.submit(request(), fence=1, at=5.0)
        history.told[job.id] = Told(job, [])
        history.touched.add(job.id)

        with pytest.raises(AssertionError, match="1: job 1 submit -> queued, version 1, at 5"):
            history.every_story_leads_to_the_state()
    finally:
        history.teardown()

"""The queue in memory answers from an index what it could read off all its jobs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.manager.queue import Queue
from gpuqueue_spawner.model import State
from tests.unit.service.builders import job


@given(
    before=st.lists(st.sampled_from(State), max_size=6),
    moves=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(State))),
)
def test_who_holds_is_known_whatever_happened(before: list[State], moves: list[tuple[int, State]]) -> None:
    """Whichever jobs it began with, and wherever they went since."""
    queue = Queue(jobs={id: job(id, state=state) for id, state in enumerate(before, 1) if state is not State.ENDED})

    for id, state in moves:
        queue.put(replace(job(id), state=state))

    assert queue.holding() == tuple(each for _, each in sorted(queue.jobs.items()) if each.holding)

"""The queue in memory answers from an index what it could read off all its jobs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.manager.queue import Outlook, Queue
from gpuqueue_spawner.model import State
from gpuqueue_spawner.scheduling import Limits, Snapshot, plan
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


@given(
    before=st.lists(st.tuples(st.sampled_from(State), st.integers(0, 3)), max_size=6),
    moves=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(State), st.integers(0, 3))),
)
def test_the_line_is_in_order_whatever_happened(
    before: list[tuple[State, int]], moves: list[tuple[int, State, int]]
) -> None:
    """Also where a job got another place, came back to its own, or waits no more."""
    jobs = {id: replace(job(id, state=state), queued=float(at)) for id, (state, at) in enumerate(before, 1)}
    queue = Queue(jobs={id: each for id, each in jobs.items() if each.open})

    for id, state, at in moves:
        queue.put(replace(job(id), state=state, queued=float(at)))

    waiting = [each for each in queue.jobs.values() if each.waiting]
    assert [*queue.waiting()] == sorted(waiting, key=lambda each: (each.queued, each.id))


@given(moves=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(State))), keys=st.sets(st.integers(1, 6)))
def test_the_open_jobs_but_some_are_known_whatever_happened(moves: list[tuple[int, State]], keys: set[int]) -> None:
    """By the keys of those that are left out, which may be of jobs that nobody knows."""
    queue = Queue()
    for id, state in moves:
        queue.put(replace(job(id), state=state))

    found = queue.but({job(id).key for id in keys})

    assert found == tuple(each for id, each in sorted(queue.jobs.items()) if id not in keys)


@given(moves=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(State))), renewed=st.booleans())
def test_the_jobs_of_a_user_are_known_whatever_happened(moves: list[tuple[int, State]], renewed: bool) -> None:
    """Those that are open, by id; whoever has none is forgotten."""
    queue = Queue()
    for id, state in moves:
        queue.put(replace(job(id), state=state, user=f"user{id % 2}"))
    if renewed:
        queue = queue.renewed([*queue.jobs.values()])

    for user in ("user0", "user1", "nobody"):
        assert queue.of_user(user) == tuple(each for _, each in sorted(queue.jobs.items()) if each.user == user)


def test_who_was_admitted_while_a_plan_was_made_gets_no_place_by_it() -> None:
    """A plan of thousands takes longer than an admission."""
    queue = Queue(jobs={id: job(id, state=State.QUEUED) for id in (1, 2)})
    made = outlook(queue)

    queue.put(replace(job(1), state=State.ADMITTED))
    changed = queue.stand(made)

    assert {*queue.standings} == {2} == {*changed}


def test_only_those_are_told_for_whom_something_changed() -> None:
    """And whose place changed, is told where he came from."""
    queue = Queue(jobs={id: job(id, state=State.QUEUED) for id in (1, 2, 3)})

    assert queue.stand(outlook(queue)) == {1, 2, 3}
    assert queue.stand(outlook(queue, now=1.0)) == frozenset()

    queue.put(replace(job(2), state=State.ENDED))
    assert queue.stand(outlook(queue, now=2.0)) == {1, 3}  # the first one is one of fewer
    (first, second) = (queue.standings[id] for id in (1, 3))
    assert (first.wait.place, first.moved) == (1, None)
    assert (second.wait.place, second.moved, second.came_from) == (2, 2.0, 3)
    assert queue.line == (job(1).resources.gpu_count, job(3).resources.gpu_count)


def outlook(queue: Queue, *, now: float = 0.0) -> Outlook:
    jobs = tuple(queue.jobs.values())
    made = plan(Snapshot(nodes=(), jobs=jobs, limits=Limits()), now=now)
    return Outlook.of(made.waits, jobs=jobs, before=queue.standings, now=now)

"""An old leader writes nothing: every method that writes, on every database."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from gpuqueue_spawner.model import Event, Job
from gpuqueue_spawner.store import LeaseLost, Store

from .builders import everything, lead, queued, request

Write = Callable[[Store, Job, int], object]

WRITES: dict[str, Write] = {
    "leader.renew": lambda store, job, fence: store.leader.renew(fence),
    "leader.give_up": lambda store, job, fence: store.leader.give_up(fence),
    "jobs.submit": lambda store, job, fence: store.jobs.submit(request("new"), fence=fence, at=1.0),
    "jobs.apply": lambda store, job, fence: store.jobs.apply(job, Event.HOLD, fence=fence, at=1.0),
    "jobs.expire": lambda store, job, fence: store.jobs.expire(before=1e9, fence=fence),
    "nodes.mark": lambda store, job, fence: store.nodes.mark("n", drained=True, note="", by="", fence=fence, at=1.0),
}


def test_every_write_names_its_leader(store: Store) -> None:
    """The list above is whole: it has each public method that takes a fence, and no other method may write."""
    found = {
        f"{noun}.{name}"
        for noun in ("leader", "jobs", "nodes", "usage")
        for name, method in inspect.getmembers(getattr(store, noun), inspect.ismethod)
        if not name.startswith("_") and "fence" in inspect.signature(method).parameters
    }
    readers = {"leader.read", "leader.take", "jobs.open", "jobs.get", "jobs.by_key", "jobs.ended", "jobs.events"}
    every = {
        f"{noun}.{name}"
        for noun in ("leader", "jobs", "nodes", "usage")
        for name, _ in inspect.getmembers(getattr(store, noun), inspect.ismethod)
        if not name.startswith("_")
    }

    assert found == WRITES.keys()
    assert every - found == readers | {"nodes.marks", "usage.days"}


@pytest.mark.parametrize("write", WRITES)
def test_paused_leader_that_wakes_up_writes_nothing(store: Store, address: str, write: str) -> None:
    """A leader that was replaced is refused, told who leads, and leaves no trace."""
    old = lead(store, "old")
    job = queued(store, old)
    new = lead(store, "new")
    before = everything(address)

    with pytest.raises(LeaseLost) as refused:
        WRITES[write](store, job, old)

    assert (refused.value.fence, refused.value.current) == (old, new)
    assert everything(address) == before


@pytest.mark.parametrize("write", WRITES)
def test_leader_that_gave_up_writes_nothing(store: Store, address: str, write: str) -> None:
    """A number that was given up is as good as an old one."""
    fence = lead(store)
    job = queued(store, fence)
    store.leader.give_up(fence)
    before = everything(address)

    with pytest.raises(LeaseLost, match="given up"):
        WRITES[write](store, job, fence)

    assert everything(address) == before


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("wrong", [0, -1, 99])
def test_number_that_nobody_was_given_writes_nothing(store: Store, address: str, write: str, wrong: int) -> None:
    """Only the current number is good, not one from the future either."""
    fence = lead(store)
    job = queued(store, fence)
    before = everything(address)

    with pytest.raises(LeaseLost):
        WRITES[write](store, job, wrong)

    assert everything(address) == before


@pytest.mark.parametrize("write", WRITES)
def test_leader_writes(store: Store, address: str, write: str) -> None:
    """The same calls with the right number go through: the tests above refuse for the fence alone."""
    fence = lead(store)
    job = queued(store, fence)
    done = store.jobs.apply(queued(store, fence, "gone"), Event.CANCEL, fence=fence, at=0.0)
    before = everything(address)

    WRITES[write](store, job, fence)

    assert done.ended == 0.0
    assert everything(address) != before

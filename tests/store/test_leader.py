"""What every database promises about leadership: one leader at a time, by numbers that only rise."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.store import Lease, LeaseLost, Store, Unstorable

from .builders import lead


def test_new_queue_has_no_leader(store: Store) -> None:
    """Nobody leads before somebody asked to."""
    assert store.leader.read() is None


def test_taken_leadership_is_read_back(store: Store) -> None:
    """Readers see who leads, from where, with which number."""
    fence = store.leader.take("one", "host1", seen=None)

    assert fence == 1
    assert store.leader.read() == Lease(holder="one", fence=1, beat=0, host="host1")


def test_renewal_is_seen_as_a_beat(store: Store) -> None:
    """A living leader is one whose beat moves."""
    fence = lead(store)
    before = store.leader.read()
    store.leader.renew(fence)
    after = store.leader.read()

    assert before
    assert after
    assert (after.fence, after.beat) == (before.fence, before.beat + 1)


def test_leader_that_moved_since_it_was_seen_is_not_replaced(store: Store) -> None:
    """Whoever watched a silent leader and acts too late gets None, and the leader goes on."""
    fence = lead(store, "one")
    seen = store.leader.read()
    store.leader.renew(fence)

    assert store.leader.take("two", "host2", seen=seen) is None
    store.leader.renew(fence)


def test_silent_leader_is_replaced_once(store: Store) -> None:
    """Of two that saw the same silence the second is too late; the number rises by one."""
    lead(store, "one")
    seen = store.leader.read()

    assert store.leader.take("two", "host2", seen=seen) == 2
    assert store.leader.take("three", "host3", seen=seen) is None
    assert store.leader.read() == Lease(holder="two", fence=2, beat=0, host="host2")


def test_leadership_of_nobody_is_taken_once(store: Store) -> None:
    """Two that found nobody leading: one of them leads."""
    assert store.leader.take("one", "host1", seen=None) == 1
    assert store.leader.take("two", "host2", seen=None) is None


def test_leadership_that_was_given_up_is_free_at_once(store: Store) -> None:
    """The next one need not wait, and gets a new number."""
    fence = lead(store, "one")

    store.leader.give_up(fence)

    assert store.leader.read() is None
    assert store.leader.take("two", "host2", seen=None) == fence + 1


def test_seen_leader_that_gave_up_since_is_not_replaced_by_name(store: Store) -> None:
    """What was seen is no longer so: look again, then take it from nobody."""
    fence = lead(store, "one")
    seen = store.leader.read()
    store.leader.give_up(fence)

    assert store.leader.take("two", "host2", seen=seen) is None
    assert store.leader.take("two", "host2", seen=store.leader.read()) == fence + 1


def test_leader_may_take_over_from_itself(store: Store) -> None:
    """A manager that starts again under its old name gets a new number, and its old self is fenced off."""
    old = lead(store, "one")
    new = lead(store, "one")

    store.leader.renew(new)
    with pytest.raises(LeaseLost) as refused:
        store.leader.renew(old)
    assert (refused.value.fence, refused.value.current) == (old, new)


def test_holder_without_a_name_is_refused(store: Store) -> None:
    """The empty name stands for nobody."""
    with pytest.raises(Unstorable, match="holder"):
        store.leader.take("", "host", seen=None)

"""What admins said of nodes outlives a restart, on every database."""

from __future__ import annotations

from contextlib import closing

import pytest

from gpuqueue_spawner.store import NodeMark, Store, Unstorable


def test_mark_is_read_back_after_a_restart(store: Store, fence: int, address: str) -> None:
    """A drained node stays drained, with who said so, why and when."""
    said = store.nodes.mark("n1", drained=True, note="fan \x00", by="root", fence=fence, at=5.0)

    with closing(Store(address)) as after_restart:
        assert after_restart.nodes.marks() == {"n1": said}
    assert said == NodeMark(name="n1", drained=True, note="fan \ufffd", by="root", at=5.0)


def test_last_word_counts(store: Store, fence: int) -> None:
    """One mark a node, whose name is compared byte for byte."""
    store.nodes.mark("n1", drained=True, note="fan", by="root", fence=fence, at=5.0)
    other = store.nodes.mark("N1", drained=True, note="", by="root", fence=fence, at=6.0)
    last = store.nodes.mark("n1", drained=False, note="", by="ops", fence=fence, at=7.0)

    assert store.nodes.marks() == {"n1": last, "N1": other}


def test_node_without_a_name_is_refused(store: Store, fence: int) -> None:
    """Nothing is written about nothing."""
    with pytest.raises(Unstorable, match="node is ''"):
        store.nodes.mark("", drained=True, note="", by="", fence=fence, at=0.0)

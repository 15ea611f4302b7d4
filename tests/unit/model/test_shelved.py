"""Thousands of objects on shelves: what is shown is what is there, and only what changed is shown anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model.shelved import Shelved

changes = st.tuples(st.sampled_from("abcd"), st.none() | st.tuples(st.sampled_from("xyz"), st.integers(0, 2)))


@given(st.lists(st.tuples(changes, st.booleans()), max_size=20))
def test_each_object_is_shown_once_on_the_shelf_it_says(
    history: list[tuple[tuple[str, tuple[str, int] | None], bool]],
) -> None:
    """Whatever came, changed, moved to another shelf or went, and whether or not somebody looked in between."""
    there: dict[str, tuple[str, int]] = {}
    shelved: Shelved[tuple[str, int]] = Shelved(lambda it: it[0])

    for (name, it), looks in history:
        before = there.pop(name, None) if it is None else there.get(name)
        assert (shelved.remove(name) if it is None else shelved.put(name, it)) == before
        if it is not None:
            there[name] = it
        assert shelved.get(name) == there.get(name)
        if looks:
            shelved.shelves()

    shown = shelved.shelves()
    assert sorted(shelved) == sorted(there.values())
    assert {shelf: sorted(each) for shelf, each in shown.items()} == {
        shelf: sorted(it for it in there.values() if it[0] == shelf) for shelf, _ in there.values()
    }


def test_a_shelf_on_which_nothing_changed_is_the_same_again() -> None:
    """So that whoever counts it sees that at once."""
    shelved: Shelved[tuple[str, int]] = Shelved(lambda it: it[0])
    shelved.put("a", ("x", 1))
    shelved.put("b", ("y", 1))

    before = shelved.shelves()
    shelved.put("a", ("x", 2))
    shelved.put("b", ("y", 1))
    after = shelved.shelves()

    assert before["y"] is after["y"]
    assert (before["x"], after["x"]) == ((("x", 1),), (("x", 2),))

"""What is kept of earlier questions never changes an answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model.kept import Kept

questions = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))


@given(st.lists(st.tuples(questions, st.sampled_from(["", "a", "b"]))))
def test_each_is_answered_as_if_it_was_asked_for_the_first_time(history: list[tuple[dict[str, int], str]]) -> None:
    """Whoever was asked for before, forgotten, or left out for a while."""
    kept: Kept[int, list[int]] = Kept()

    for asked, forgotten in history:
        assert kept.answers(asked.items(), lambda question: [question]) == tuple([each] for each in asked.values())
        kept.forget(forgotten)


def test_only_what_changed_is_answered_anew() -> None:
    """Else a large cluster would cost what it costs the first time, each time."""
    kept: Kept[int, int] = Kept()
    asked: list[int] = []

    def answer(question: int) -> int:
        asked.append(question)
        return -question

    kept.answers([("a", 1), ("b", 2)], answer)
    assert kept.answers([("a", 1), ("b", 3)], answer) == (-1, -3)
    assert asked == [1, 2, 3]

    kept.forget("a")
    assert kept.answers([("a", 1), ("b", 3)], answer) == (-1, -3)
    assert asked == [1, 2, 3, 1]

"""What a column can hold on every database is let through unchanged, the rest is refused with what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.store import Unstorable
from gpuqueue_spawner.store.values import document, name, real, whole, words


@given(st.text())
def test_words_for_people_always_become_storable(text: str) -> None:
    """Any text becomes one without NUL and half surrogates; one that has none is not touched."""
    kept = words(text)

    assert "\x00" not in kept
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert words(kept) == kept
    assert len(kept) == len(text)


@given(st.text(max_size=300))
def test_name_is_let_through_unchanged_or_refused(text: str) -> None:
    """A name is never cut or cleaned: that would make two users one."""
    if len(text) <= 255 and text == words(text):
        assert name("user", text) == text
    else:
        with pytest.raises(Unstorable):
            name("user", text)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**63, -(2**63)])
def test_what_is_no_whole_number_of_64_bits_is_refused(value: Any) -> None:
    """Neither a truth value nor a number that the driver would choke on."""
    with pytest.raises(Unstorable, match="a whole number up to 9223372036854775807"):
        whole("memory", value)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 10**400])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    """Databases differ in what they make of the others."""
    with pytest.raises(Unstorable, match="a finite number"):
        real("lease", value)


@pytest.mark.parametrize("value", [{"x": {1}}, {"x": float("nan")}, {"x": object()}, {(1, 2): 3}, {1: 2, "a": 3}])
def test_what_json_has_no_words_for_is_refused(value: Any) -> None:
    """And so is a mapping whose names cannot be told apart or sorted."""
    with pytest.raises(Unstorable, match="what JSON can say"):
        document("options", value)


def test_refusal_shows_the_beginning_of_a_long_value_only() -> None:
    """A message fits on a page."""
    with pytest.raises(Unstorable) as refused:
        name("name", "x" * 100_000)

    assert len(str(refused.value)) < 200
    assert str(refused.value).startswith("name is 'xxx")

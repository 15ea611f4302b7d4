"""Which numeric users and groups of a directory notebooks may run under."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.auth.numbers import LARGEST, NOBODY, BadNumber, one_number


@pytest.mark.parametrize("values", [[10001], ["10001"], [b"10001".decode()]])
def test_one_number_is_taken_as_integer_or_text(values: list[Any]) -> None:
    """What the directory's library makes of it depends on the schema."""
    assert one_number({"uidNumber": values}, "uidNumber", smallest=1000) == 10001


@pytest.mark.parametrize("entry", [{}, {"uidNumber": []}, {"gidNumber": [7]}])
def test_an_entry_without_the_attribute_has_none(entry: dict[str, list[Any]]) -> None:
    """The site decides whether that is a fault."""
    assert one_number(entry, "uidNumber", smallest=1000) is None


@pytest.mark.parametrize(
    "value",
    [
        *(0, 999, -1, "-1", NOBODY, LARGEST + 1, 2**64, "9" * 400),
        *("", " 1001", "1001\n", "+1001", "1e4", "0x400", "1001.0", "\u0661\u0660\u0660\u0661"),
        *(True, None, b"1001"),
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    """The system's numbers, nobody's, what the kernel reads as -1, and text that only looks like a number."""
    with pytest.raises(BadNumber, match="uidNumber"):
        one_number({"uidNumber": [value]}, "uidNumber", smallest=1000)


@given(st.lists(st.one_of(st.integers(), st.text(max_size=12)), max_size=3))
def test_what_comes_out_is_always_safe(values: list[Any]) -> None:
    """Whatever an entry holds."""
    try:
        number = one_number({"uidNumber": values}, "uidNumber", smallest=1000)
    except BadNumber:
        return

    assert number is None or (1000 <= number <= LARGEST and number != NOBODY)

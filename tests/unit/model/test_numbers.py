"""Counts, places and waits as people read them; the pages' scripts say the same (tests/browser/test_times.py)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import numbers
from tests.services.waits import LENGTHS, PLACES, SHORT, WAITS


@pytest.mark.parametrize(("n", "words"), PLACES)
def test_places_are_ordinals(n: int, words: str) -> None:
    """Eleven to thirteen are the odd ones, also above a hundred."""
    assert numbers.ordinal(n) == words


@pytest.mark.parametrize(("seconds", "words"), LENGTHS)
def test_lengths_of_time_are_whole_minutes_rounded_down(seconds: float, words: str) -> None:
    """What is left is never said to be more than it is."""
    assert numbers.duration(seconds) == words


@pytest.mark.parametrize(("seconds", "words"), WAITS)
def test_a_wait_is_said_in_five_minutes_rounded_up(seconds: float, words: str) -> None:
    """It is the longest that it should take."""
    assert numbers.at_most(seconds) == words


@pytest.mark.parametrize(("seconds", "short"), SHORT)
def test_what_starts_within_a_minute_starts_any_moment(seconds: float, short: bool) -> None:
    assert numbers.any_moment(seconds) is short


@given(st.integers(0, 10**10).map(lambda ms: ms / 1000))
def test_an_estimate_is_rounded_up_to_five_minutes(seconds: float) -> None:
    """It is the latest start: rounding down would make it false."""
    rounded = numbers.round_up(seconds)

    assert rounded >= seconds
    assert rounded - seconds <= 300
    assert rounded % 300 == 0

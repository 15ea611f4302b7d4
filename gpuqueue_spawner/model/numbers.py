"""Counts, places and waits as people read them, and the one rule by which an estimate is rounded.

Knows numbers and English. The Hub's pages say the same in the browser: spawner/templates/gpuqueue-words.js.
"""

from __future__ import annotations

import math

MINUTE, HOUR, DAY = 60, 3600, 86400
STEP = 5 * MINUTE  #: estimates are rounded up to this: a lease end is not known better


def count(n: int, one: str, many: str = "") -> str:
    """Word a count: "1 job", "7 jobs"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def ordinal(n: int) -> str:
    """Word a place: "1st", "12th", "23rd"."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def duration(seconds: float) -> str:
    """Word a length of time, in whole minutes, rounded down: "40 min", "1 h 22 min", "3 days 2 h"."""
    seconds = max(0.0, seconds)
    if seconds < MINUTE:
        return "under 1 min"
    days, hours, minutes = int(seconds // DAY), int(seconds % DAY // HOUR), int(seconds % HOUR // MINUTE)
    if days >= 2:
        parts = [count(days, "day"), f"{hours} h" if hours else ""]
    else:
        hours += days * 24
        parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join(filter(None, parts))


def at_most(seconds: float) -> str:
    """Word the longest that something should take, rounded up to five minutes: "about 1 h 25 min"."""
    return f"about {duration(round_up(seconds))}"


def round_up(at: float) -> float:
    """Round a time or a length of time up to five minutes."""
    return math.ceil(at / STEP) * STEP


def any_moment(seconds: float) -> bool:
    """Whether a wait is too short to be told as one."""
    return seconds <= MINUTE

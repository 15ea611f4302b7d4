"""Waits and how they are said: the same cases for Python and for the scripts of the pages."""

from __future__ import annotations

#: seconds, and the longest that it should take, in words
WAITS: list[tuple[float, str]] = [
    (1, "about 5 min"),
    (90, "about 5 min"),
    (300, "about 5 min"),
    (300.5, "about 10 min"),
    (3500, "about 1 h"),
    (4600, "about 1 h 20 min"),
    (26 * 3600, "about 26 h"),
    (51 * 3600 + 1, "about 2 days 3 h"),
    (72 * 3600, "about 3 days"),
]
#: seconds, and how long it took or will take, rounded down
LENGTHS: list[tuple[float, str]] = [
    (-5, "under 1 min"),
    (0, "under 1 min"),
    (59, "under 1 min"),
    (60, "1 min"),
    (3599, "59 min"),
    (3600, "1 h"),
    (4920, "1 h 22 min"),
    (26 * 3600, "26 h"),
    (48 * 3600 + 59, "2 days"),
    (49 * 3600, "2 days 1 h"),
]
#: seconds, and whether it is too short to be told
SHORT: list[tuple[float, bool]] = [(-5, True), (0, True), (60, True), (60.5, False), (300, False)]
PLACES: list[tuple[int, str]] = [
    (1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"),
    (22, "22nd"), (102, "102nd"), (111, "111th"), (1003, "1,003rd"),
]  # fmt: skip

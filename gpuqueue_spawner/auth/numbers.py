"""The numeric user and group that a directory entry names: which of them notebooks may run under.

Pure; where the entry comes from: directory.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NOBODY = 65534  #: by convention shared by whatever may have no rights, so it protects no one
LARGEST = 2**32 - 2  #: 2**32 - 1 is -1, "leave as it is", to the system calls that change users


class BadNumber(Exception):
    """An attribute holds no number that may be used."""

    def __init__(self, attribute: str, problem: str) -> None:
        super().__init__(f"{attribute}: {problem}")
        self.attribute, self.problem = attribute, problem


def one_number(entry: Mapping[str, Sequence[Any]], attribute: str, *, smallest: int) -> int | None:
    """The attribute's number; None: the entry has none.

    :raises BadNumber: several values, no integer, or one that is the system's.
    """
    values = entry.get(attribute) or ()
    if not values:
        return None
    if len(values) > 1:
        raise BadNumber(attribute, f"has {len(values)} numbers where one is needed")
    text = str(values[0])
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(LARGEST)):
        raise BadNumber(attribute, "has a number that is none")
    number = int(text)
    if number < smallest or number == NOBODY or number > LARGEST:
        raise BadNumber(attribute, f"has the number {number}, which notebooks may not run under")
    return number

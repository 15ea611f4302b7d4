"""What a column can hold on every database, and the refusal of what it cannot. Knows values, no table.

Without these checks the same value would be kept by one database, cut short by another and crash the driver of a third.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from .columns import NAME_LENGTH
from .errors import Unstorable

LARGEST = 2**63 - 1  #: of a BIGINT


def name(field: str, value: object, *, least: int = 0, most: int = NAME_LENGTH) -> str:
    """Let a name through unchanged, or refuse it.

    :raises Unstorable: too long, or with characters that a database cannot keep.
    """
    allowed = f"text of {least} to {most} characters without NUL and half surrogates"
    if not isinstance(value, str) or not least <= len(value) <= most or value != words(value):
        raise Unstorable(field, value, allowed)
    return value


def words(value: str) -> str:
    """Words for people, with what no database can keep replaced by a question mark: rather odd than lost."""
    return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def whole(field: str, value: object) -> int:
    """Let a whole number through, or refuse it.

    :raises Unstorable: not whole, or beyond 64 bits.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not -LARGEST <= value <= LARGEST:
        raise Unstorable(field, value, f"a whole number up to {LARGEST}")
    return value


def real(field: str, value: object) -> float:
    """Let a finite number through, or refuse it.

    :raises Unstorable: infinite or not a number; databases differ in what they make of those.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number of 400 digits
        pass
    raise Unstorable(field, value, "a finite number")


def document(field: str, value: Mapping[str, Any]) -> str:
    """Write a mapping down as JSON, pure ASCII: any character of any language survives any database.

    :raises Unstorable: it holds something JSON has no words for.
    """
    try:
        return json.dumps(dict(value), allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unstorable(field, value, f"what JSON can say ({error})") from error

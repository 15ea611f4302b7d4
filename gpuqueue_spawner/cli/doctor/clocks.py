"""Whether two clocks agree, as far as HTTP's header and a database tell. Knows seconds; nobody's clock but ours."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from .findings import Finding, NotChecked, ok, problem, warning

NOTICED_S = 5.0  #: with the second that HTTP rounds to, and a slow answer
HURTS_S = 60.0  #: tickets, tokens and certificates are then taken for too old or not yet good

_TODO = "Keep both machines' clocks right by NTP: chronyc tracking, timedatectl."


def of_header(date: str) -> float:
    """Unix seconds of an HTTP header.

    :raises NotChecked: there is none that can be read.
    """
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        raise NotChecked("the answer does not say what time it is there") from None


def compared(whose: str, theirs: float, *, asked: float, answered: float) -> Finding:
    """Judge a clock by a reading that was taken at some moment between two of ours.

    :param theirs: Unix seconds, whole ones where they come from a header.
    """
    off = max(asked - theirs - 1, theirs - answered, 0.0)
    if off < NOTICED_S:
        return ok(f"{whose} clock agrees with this machine's.")
    words = f"{whose} clock is {off:.0f} s {'ahead of' if theirs > answered else 'behind'} this machine's."
    return problem(words, _TODO) if off >= HURTS_S else warning(words, _TODO)


def now() -> float:
    """Of this machine."""
    return time.time()

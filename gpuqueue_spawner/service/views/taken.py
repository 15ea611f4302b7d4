"""What the cluster took away from jobs lately: told to admins, who may want to know why it does that.

Knows what the watch over the cluster saw: manager/watching.py. What becomes of such a job is in its story.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...manager.watching import Taken
from . import words
from .frame import Notice

SHOWN_S = 24 * 3600.0
NAMED = 5


def notices(taken: Iterable[Taken], *, now: float) -> tuple[Notice, ...]:
    """One box for all of them, the latest first."""
    latest = [each for each in reversed([*taken]) if now - each.at < SHOWN_S]
    if not latest:
        return ()
    named = " ".join(f"Job {each.job} of {each.user}: {each.words}" for each in latest[:NAMED])
    more = f" And {len(latest) - NAMED} before." if len(latest) > NAMED else ""
    lead = f"{words.count(len(latest), 'running server')} taken away by the cluster in the last day."
    return (
        Notice(
            tone="warn",
            icon="triangle-exclamation",
            lead=lead,
            words=f"Each went back to its place in the queue. {named}{more}",
        ),
    )

"""Running servers that the queue does not know, after its database was restored, say. Shown, never ended.

Knows what the watch over the machine saw: manager/watching.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...manager.watching import Stray
from . import words
from .frame import Notice


def notices(strays: Sequence[Stray]) -> tuple[Notice, ...]:
    """One box for all of them."""
    if not strays:
        return ()
    listed = "; ".join(
        f"processes {', '.join(str(each.pid) for each in stray.processes[:3])} of user {stray.processes[0].uid}"
        f" with {words.count(len(stray.devices), 'GPU') if stray.devices else 'no GPU'}"
        for stray in strays[:10]
    )
    lead = f"{words.count(len(strays), 'running server')} unknown to this queue."
    return (
        Notice(
            tone="warn",
            icon="triangle-exclamation",
            lead=lead,
            words=f"Their GPUs count as taken and nothing is ended: {listed}. End them by hand.",
        ),
    )

"""Running servers that the queue does not know, after its database was restored, say. Shown, never ended.

Knows what the watch over the machine saw: manager/watching.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...capacity import Process, Trace
from ...manager.strays import Stray
from . import words
from .frame import Notice


def notices(strays: Sequence[Stray]) -> tuple[Notice, ...]:
    """One box for all of them."""
    if not strays:
        return ()
    listed = "; ".join(
        f"{_named(stray.traces[:3])} with {words.count(stray.gpus, 'GPU') if stray.gpus else 'no GPU'}"
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


def _named(traces: Sequence[Trace]) -> str:
    processes = [each for each in traces if isinstance(each, Process)]
    if processes:
        return f"processes {', '.join(str(each.pid) for each in processes)} of user {processes[0].uid}"
    return f"pods {', '.join(f'{each.namespace}/{each.name}' for each in traces if not isinstance(each, Process))}"

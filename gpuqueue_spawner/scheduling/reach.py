"""What could ever start: what a server has, and a user may hold, when nothing runs.

Drained servers and GPUs in use from outside the queue count: both come back. Knows nodes, limits and words.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Node, Reason
from . import reasons
from .amounts import Amount
from .limits import Limits


class Reach:
    """The sizes of all servers. Equal questions are answered once, equal servers looked at once."""

    def __init__(self, nodes: Sequence[Node], limits: Limits, *, unknown: bool) -> None:
        sizes = {Amount.of_node(node) for node in nodes}
        # Large ones first: most questions are answered by the first one.
        self._sizes = sorted(sizes, key=lambda size: (size.gpu_count, size.cpus, size.memory, size.gpus), reverse=True)
        self._unseen = unknown and not nodes  # nothing was ever seen: nothing can be said
        self._limits = limits
        self._refusals: dict[Amount, Reason | None] = {}

    def refusal(self, need: Amount) -> Reason | None:
        """Why a job can never start as it is; None: it can."""
        if need not in self._refusals:
            self._refusals[need] = self._refuse(need)
        return self._refusals[need]

    def _refuse(self, need: Amount) -> Reason | None:
        if not self._unseen and not any(need.within(size) for size in self._sizes):
            return reasons.never_fits(need, self._sizes)
        if self._limits.gpus is not None and need.gpu_count > self._limits.gpus:
            return reasons.never_allowed(need, self._limits.gpus)
        return None

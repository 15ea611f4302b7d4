"""What could ever start: what a server has, and a user may hold, when nothing runs.

Drained servers and GPUs in use from outside the queue count: both come back. So may a server's taint go; but somebody
whom it keeps out should not keep all others waiting until then. Knows nodes, limits and words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..model import Constraints, Node, Reason
from . import reasons
from .amounts import Amount
from .limits import Limits
from .pools import Pool, Pools

Question = tuple[Amount, Constraints]


class Reach:
    """The sizes of all servers. Equal questions are answered once, equal servers looked at once."""

    def __init__(self, nodes: Sequence[Node], limits: Limits, pools: Pools, *, unknown: bool) -> None:
        self._nodes = nodes
        self._pools = pools
        self._whole = {node.name: Amount.of_node(node) for node in nodes}
        self._sizes: dict[Pool, Sequence[Amount]] = {None: _sorted(self._whole.values())}
        self._unseen = unknown and not nodes  # nothing was ever seen: nothing can be said
        self._limits = limits
        self._refusals: dict[Question, Reason | None] = {}

    def refusal(self, need: Amount, demand: Constraints) -> Reason | None:
        """Why a job can never start as it is; None: it can."""
        if (need, demand) not in self._refusals:
            self._refusals[need, demand] = self._refuse(need, demand)
        return self._refusals[need, demand]

    def _refuse(self, need: Amount, demand: Constraints) -> Reason | None:
        if not self._unseen and not any(need.within(size) for size in self._of_pool(demand)):
            return self._nowhere(need, demand)
        if self._limits.gpus is not None and need.gpu_count > self._limits.gpus:
            return reasons.never_allowed(need, self._limits.gpus)
        return None

    def _of_pool(self, demand: Constraints) -> Sequence[Amount]:
        pool = self._pools.of(demand)
        if pool is not None and pool not in self._sizes:
            self._sizes[pool] = _sorted(self._whole[name] for name in pool)
        return self._sizes[pool]

    def _nowhere(self, need: Amount, demand: Constraints) -> Reason:
        chosen = [node for node in self._nodes if demand.select(node.name, node.labels)]
        if self._nodes and not chosen:
            return reasons.never_matches(demand)
        large = [node for node in chosen if need.within(self._whole[node.name])]
        if large:  # else it is not their taints that keep it out
            return reasons.kept_out({taint.key for node in large for taint in demand.kept_out_by(node.taints)})
        sizes = _sorted(self._whole[node.name] for node in chosen)
        return reasons.never_fits(need, sizes, everywhere=len(chosen) == len(self._nodes))


def _sorted(sizes: Iterable[Amount]) -> list[Amount]:
    """Large ones first: most questions are answered by the first one."""
    return sorted(set(sizes), key=lambda size: (size.gpu_count, size.cpus, size.memory, size.gpus), reverse=True)

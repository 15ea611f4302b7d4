"""Which servers a job may use at all: by labels, names and taints. Equal demands are looked at once.

Most jobs demand nothing, and then every server will do without a look at one. Knows nodes and demands. What could ever
fit there: reach.py; what is free there: placement.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Constraints, Node

Pool = frozenset[str] | None  #: names of servers; None: every one


class Pools:
    """The servers of each demand."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._tainted = any(node.taints for node in nodes)
        self._pools: dict[Constraints, Pool] = {}

    def of(self, demand: Constraints) -> Pool:
        """The servers that a job with this demand may use."""
        if not self._tainted and not demand.selector and not demand.terms:
            return None
        if demand not in self._pools:
            names = frozenset(node.name for node in self._nodes if takes(node, demand))
            self._pools[demand] = None if len(names) == len(self._nodes) else names
        return self._pools[demand]


def takes(node: Node, demand: Constraints) -> bool:
    """Whether the node lets in a job with this demand, and is what it demands."""
    return demand.select(node.name, node.labels) and not demand.kept_out_by(node.taints)

"""Which nodes to close for everybody's pods, and which to open again, as admins told the queue.

Pure. Who asks the cluster to do it: capacity.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .cluster import CORDONED_BY, SeenNode


def patches(nodes: Iterable[SeenNode], drained: Collection[str], *, instance: str) -> Mapping[str, Mapping[str, Any]]:
    """What to change of each node, as a JSON merge patch (RFC 7386) by the node's name.

    A node that somebody else closed stays theirs, and one that somebody opened although it is drained stays open.

    :param drained: names of nodes that admins have drained.
    :param instance: of this installation; what another one closed is its matter.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        if node.name in drained and not node.cordoned and not node.cordoned_by:
            found[node.name] = _patch(closed=True, by=instance)
        elif node.name not in drained and node.cordoned_by == instance:
            found[node.name] = _patch(closed=False, by=None)
    return found


def _patch(*, closed: bool, by: str | None) -> Mapping[str, Any]:
    return {"metadata": {"annotations": {CORDONED_BY: by}}, "spec": {"unschedulable": closed}}

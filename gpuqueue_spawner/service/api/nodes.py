"""Nodes and their GPUs: what is free, what is not, and draining."""

from __future__ import annotations

from typing import Any

from ...model import Node
from .. import acts, records
from ..base import ApiHandler
from ..errors import BadInput
from ..inputs import ActInput, read


class NodeHandler(ApiHandler):
    """What the handlers below share."""

    def node(self, node: Node) -> dict[str, Any]:
        """A node as this reader sees it."""
        holding = self.manager.queue.holding()
        return records.node(node, holding, names=self.reader.reads_all, reader=self.reader.name)


class Nodes(NodeHandler):
    """Every node."""

    async def get(self) -> None:
        """200."""
        self.answer(
            {
                "problem": self.manager.problem(),
                "nodes": [self.node(node) for node in self.manager.snapshot().nodes],
            }
        )


class NodeAction(NodeHandler):
    """Drain a node, or take it back."""

    async def post(self, name: str, action: str) -> None:
        """200 with the node, 400, 403, 503."""
        if action not in ("drain", "undrain"):
            raise BadInput("action", action, "drain or undrain", code="gpuqueue.action")
        note = read(ActInput, self.json_body()).note
        await acts.drain(self.manager, self.reader, name, note, drained=action == "drain")
        self.answer({"node": next(self.node(node) for node in self.manager.snapshot().nodes if node.name == name)})

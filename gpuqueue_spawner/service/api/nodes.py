"""Nodes and their GPUs: what is free, what is not, and draining."""

from __future__ import annotations

from .. import acts, records
from ..base import UserHandler
from ..errors import BadInput
from ..inputs import ActInput, read


class Nodes(UserHandler):
    """Every node."""

    async def get(self) -> None:
        """200."""
        holding = self.manager.queue.holding()
        names = self.reader.reads_all
        self.answer(
            {
                "problem": self.manager.problem(),
                "nodes": [
                    records.node(node, holding, names=names, reader=self.reader.name)
                    for node in self.manager.snapshot().nodes
                ],
            }
        )


class NodeAction(UserHandler):
    """Drain a node, or take it back."""

    async def post(self, name: str, action: str) -> None:
        """200, 400, 403, 503."""
        if action not in ("drain", "undrain"):
            raise BadInput("action", action, "drain or undrain", code="gpuqueue.action")
        note = read(ActInput, self.json_body()).note
        await acts.drain(self.manager, self.reader, name, note, drained=action == "drain")
        self.answer({})

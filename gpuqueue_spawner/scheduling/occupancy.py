"""What is free on every server, given the jobs that hold a placement.

Knows servers and shares. When a share comes back: course.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..model import Node, Placement
from .amounts import Amount
from .placement import Shelves
from .pools import Pool
from .servers import Server


class Occupancy:
    """All servers, by name."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.servers = tuple(Server(node) for node in sorted(nodes, key=lambda node: node.name))
        self._by_name = {server.name: server for server in self.servers}
        self._shelves = Shelves(self.servers)

    def take(self, need: Amount, placement: Placement) -> None:
        """Give out a job's share; nothing happens where its server is not known any more."""
        server = self._by_name.get(placement.node)
        if server is not None:
            self._shelves.remove(server)
            server.take(need, placement.devices)
            self._shelves.put(server)

    def give_back(self, need: Amount, placement: Placement) -> Server | None:
        """Take a job's share back; returns the server that has more room now."""
        server = self._by_name.get(placement.node)
        if server is not None:
            self._shelves.remove(server)
            server.give_back(need, placement.devices)
            self._shelves.put(server)
        return server

    def find(self, need: Amount, pool: Pool, avoid: Collection[str] = ()) -> Placement | None:
        """Where a job would go now, of the servers in its pool; to one to avoid only if no other has room."""
        server = self._shelves.best(need, pool, avoid)
        return Placement(node=server.name, devices=server.choose(need)) if server is not None else None

"""What admins said of nodes, which outlives restarts. Knows marks; which nodes exist is capacity's matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import insert, select

from .database import Database, retried
from .leader import fenced
from .tables import by_field, node_marks
from .values import name as checked
from .values import real, words


@dataclass(frozen=True, kw_only=True)
class NodeMark:
    """An admin's last word on one node."""

    name: str
    drained: bool  #: keeps its jobs, takes no new one
    note: str  #: why
    by: str  #: who said it
    at: float  #: Unix seconds


class Nodes:
    """The marks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def marks(self) -> Mapping[str, NodeMark]:
        """Every mark, by the node's name."""
        with self._database.reading() as tx:
            rows = tx.execute(select(*by_field(node_marks)).order_by(node_marks.c.name)).mappings()
            return {row["name"]: NodeMark(**row) for row in rows}

    @retried
    def mark(self, name: str, *, drained: bool, note: str, by: str, fence: int, at: float) -> NodeMark:
        """Set a node's mark in place of the one it had.

        :raises LeaseLost: the writer no longer leads.
        :raises Unstorable: a name that no database can keep.
        """
        mark = NodeMark(
            name=checked("node", name, least=1), drained=drained, note=words(note), by=words(by), at=real("at", at)
        )
        values = {"drained": mark.drained, "note": mark.note, "by": mark.by, "at": mark.at}
        with fenced(self._database, fence) as tx:
            done = tx.execute(node_marks.update().where(node_marks.c.name == name).values(values))
            if done.rowcount == 0:  # nobody else can insert it now: the lease row is locked
                tx.execute(insert(node_marks).values(name=name, **values))
        return mark

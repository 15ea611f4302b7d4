"""What can be learnt of a database without changing it, for whoever looks for the reason of a trouble.

Knows SQL and the head of a SQLite file. Who asks: cli/doctor/.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import false, text

from .database import Database
from .tables import leader

_CLOCKS = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))",
}
_WRITE_AHEAD = b"\x02\x02"  #: bytes 18 and 19 of a SQLite file whose changes go to a log first


def opened_before(path: Path) -> bool:
    """Whether a store has opened this file before; it then opens it again without changing it.

    :raises OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return file.read(20)[18:20] == _WRITE_AHEAD


def refuses_writes(database: Database) -> None:
    """Make sure that it would take a change, by one that meets no row.

    :raises StoreUnavailable: it would not.
    """
    with database.writing() as tx:
        tx.execute(leader.update().where(false()).values(beat=leader.c.beat))


def clock(database: Database) -> float | None:
    """Unix seconds by the database's clock; None: it has none of its own."""
    question = _CLOCKS.get(database.url.get_backend_name())
    if question is None:
        return None
    with database.reading() as tx:
        return float(tx.execute(text(question)).scalar_one())

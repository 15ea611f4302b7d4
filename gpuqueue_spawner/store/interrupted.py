"""What remembers an upgrade that stopped in the middle, where the database commits each change of a table at once.

One more table, there from before the first step until after the last, that says what the upgrade began with. Knows it
and what to do with what it says; the steps are in migrations/. Used by schema.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from .tables import metadata

MARK = Table("gpuqueue_upgrade", MetaData(), Column("began_with", String(32), primary_key=True))  # empty: nothing


@contextmanager
def marked(tx: Connection, began_with: str | None) -> Iterator[None]:
    """Leave the mark behind if the upgrade inside stops in the middle, whatever stops it.

    Its row is committed together with the first change of a table, as everything before such a change is: a mark
    without it says that nothing was changed.
    """
    MARK.drop(tx, checkfirst=True)
    MARK.create(tx)
    tx.execute(insert(MARK).values(began_with=began_with or ""))
    yield
    MARK.drop(tx)


def read(tx: Connection) -> str | None:
    """Tell what an upgrade that has not ended began with, empty: nothing. None: there is none, or it did nothing."""
    if not inspect(tx).has_table(MARK.name):
        return None
    return tx.execute(select(MARK.c.began_with)).scalar()


def start_over(tx: Connection, versions: str) -> None:
    """Drop the tables that an upgrade from nothing has made. Nobody worked with them yet: check() refuses them."""
    for table in (*reversed(metadata.sorted_tables), Table(versions, MetaData()), MARK):
        table.drop(tx, checkfirst=True)

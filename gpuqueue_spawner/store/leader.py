"""Who leads: one row, and the number without which nobody writes.

Knows the row and its compare-and-set. When a lease has run out is decided by its readers, who watch whether `beat`
moves (manager/leadership.py): no clock of two machines is ever compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select

from .database import Database, retried
from .errors import LeaseLost
from .tables import leader
from .values import name


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Leadership as it was read."""

    holder: str  #: who leads, random for each process
    fence: int  #: rises with each leader; every write names it
    beat: int  #: rises while the leader lives
    host: str  #: where the holder's process can be looked for


class Leader:
    """The lease row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Lease | None:
        """Tell who leads; None: nobody, or the last leader gave up."""
        with self._database.reading() as tx:
            row = tx.execute(select(leader)).one()
        return Lease(holder=row.holder, fence=row.fence, beat=row.beat, host=row.host) if row.holder else None

    @retried
    def take(self, holder: str, host: str, *, seen: Lease | None) -> int | None:
        """Become the leader in place of the one that was `seen` and no longer moves, None: in place of nobody.

        :returns: the new fence, None when somebody was faster or the seen leader moved after all.
        """
        values = {"holder": name("holder", holder, least=1), "host": name("host", host)}
        unmoved = (
            (leader.c.holder == "")
            if seen is None
            else (leader.c.fence == seen.fence) & (leader.c.beat == seen.beat) & (leader.c.holder == seen.holder)
        )
        with self._database.writing() as tx:
            done = tx.execute(leader.update().where(unmoved).values(fence=leader.c.fence + 1, beat=0, **values))
            if done.rowcount != 1:
                return None
            return int(tx.execute(select(leader.c.fence)).scalar_one())

    @retried
    def renew(self, fence: int) -> None:
        """Show that the leader lives.

        :raises LeaseLost: somebody else leads since.
        """
        with fenced(self._database, fence) as tx:
            tx.execute(leader.update().values(beat=leader.c.beat + 1))

    @retried
    def give_up(self, fence: int) -> None:
        """Let the next one lead without waiting; nothing is written with this fence any more.

        :raises LeaseLost: somebody else leads since.
        """
        with fenced(self._database, fence) as tx:
            tx.execute(leader.update().values(holder="", host=""))


@contextmanager
def fenced(database: Database, fence: int) -> Iterator[Connection]:
    """One transaction of the leader with this number: the only way anything about jobs and nodes is written.

    The row stays locked until the end, so two leaders' writes never interleave. A leader that the system stops just
    here keeps a SQLite file locked until it goes on or ends; a server ends its session after the time limit.

    :raises LeaseLost: somebody else leads since, or the leader gave up.
    """
    with database.writing() as tx:
        row = tx.execute(select(leader.c.fence, leader.c.holder).with_for_update()).one()
        if row.fence != fence or not row.holder:
            raise LeaseLost(fence, row.fence)
        yield tx

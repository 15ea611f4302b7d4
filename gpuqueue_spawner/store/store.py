"""The front door of the store: one database, and one object a noun. Knows who is who; the work is theirs.

Synchronous, for one thread at a time: a caller with an event loop gives it a thread of its own (manager/).
"""

from __future__ import annotations

from pathlib import Path

from .backup import backup
from .database import Database
from .jobs import Jobs
from .leader import Leader
from .nodes import Nodes
from .schema import Schema
from .usage import Usage


class Store:
    """Everything the queue knows, in a SQL database.

    Every method raises StoreUnavailable, worded, when the database cannot be read or written.

    :param url: `sqlite:////var/lib/gpuqueue/queue.sqlite`, `postgresql://user@host/name`, `mysql://user@host/name`.
    :param timeout: seconds that a connection, a lock or a statement may take; a server that falls silent costs it
        twice at most: once to notice, once to try another connection.
    :raises InvalidDatabase: the address cannot hold a queue.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self._database = Database(url, timeout=timeout)
        self._schema = Schema(self._database)
        self.leader = Leader(self._database)
        self.jobs = Jobs(self._database)
        self.nodes = Nodes(self._database)
        self.usage = Usage(self._database)

    def upgrade(self) -> None:
        """Bring the database to this version's schema; makes a new one where there is none.

        :raises SchemaMismatch: it is of a newer version, or half-made by hand.
        """
        self._schema.upgrade()

    def check(self) -> None:
        """Make sure that this version can work with the database.

        :raises SchemaMismatch: it cannot; the text names the command that helps.
        """
        self._schema.check()

    def backup(self, target: Path) -> None:
        """Write a consistent copy of a running SQLite database.

        :raises BackupRefused: not a SQLite database, or the target exists.
        """
        backup(self._database, target)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

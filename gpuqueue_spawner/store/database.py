"""One database: its address, and what a transaction on it is. Knows no table.

Every access goes through `reading` or `writing` here, so that every fault comes out worded (faults.py) and none of them
waits much longer than the limit. What is peculiar to a kind of database: sqlite.py, postgresql.py. Who may write is
leader.py's matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from . import sqlite
from .errors import InvalidDatabase
from .faults import worded

_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}


class Database:
    """An engine with limits.

    :param url: of SQLAlchemy's form: `sqlite:////var/lib/gpuqueue/queue.sqlite`, `postgresql://user@host/name`.
    :param timeout: seconds that a connection, a lock or a statement may take.
    :raises InvalidDatabase: the address cannot hold a queue.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        self.url = _url(url)
        self.timeout = timeout
        self.sqlite = self.url.get_backend_name() == "sqlite"  #: whether it is a file of this machine
        self.path = Path(self.url.database or "") if self.sqlite else None  #: of the file; None: there is none
        self.engine = sqlite.engine(self.url, self.path, timeout=timeout) if self.path else self._postgresql_engine()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees one moment of the database and changes nothing.

        :raises StoreUnavailable: it cannot be read now.
        """
        with worded(self.timeout), self.engine.connect() as tx, tx.begin():
            yield tx

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that is kept whole or not at all; on SQLite it excludes every other writer from its start.

        :raises StoreUnavailable: it cannot be written now.
        """
        with worded(self.timeout), self.engine.connect() as tx:
            tx = tx.execution_options(**{sqlite.WRITING: True})
            with tx.begin():
                yield tx

    def patient(self, tx: Connection) -> AbstractContextManager[None]:
        """Let statements take their time, as those that rebuild a big table do; locks keep their limit."""
        if self.sqlite:
            return nullcontext()
        from . import postgresql  # as below

        return postgresql.patient(tx)

    def create(self) -> None:
        """Make the file if there is none. A database on a server is made by its admin."""
        if self.path:
            sqlite.create(self.path)

    def close(self) -> None:
        """Close every connection; the next access would open one again."""
        self.engine.dispose()

    def _postgresql_engine(self) -> Engine:
        try:
            from . import postgresql  # here, because its driver is an extra that not every site installs
        except ImportError as error:
            raise InvalidDatabase("PostgreSQL needs `pip install gpuqueue-spawner[postgresql]`") from error
        return postgresql.engine(self.url, timeout=self.timeout)


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise InvalidDatabase("the database's address is not of the form sqlite:///FILE or postgresql://...") from error
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise InvalidDatabase(f"a queue cannot be kept in {backend} (possible: {', '.join(_DRIVERS)})")
    if backend == "sqlite" and (url.database in (None, "", ":memory:") or "?" in address):
        raise InvalidDatabase("SQLite's address is sqlite:///FILE, without parameters: a queue in memory would be lost")
    return url.set(drivername=_DRIVERS[backend])

"""One database: its address, and what a transaction on it is. Knows no table.

Every access goes through `reading` or `writing` here, so that every fault comes out worded (faults.py) and none of them
waits much longer than the limit. What is peculiar to a kind of database: sqlite.py, postgresql.py, mysql.py. Who may
write is leader.py's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from . import sqlite
from .errors import InvalidDatabase, TakenBack
from .faults import worded

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",  # which of the two a server is, it says itself
}
_TRIES = 3  # of a write that the server takes back; one that is so unlucky thrice has another trouble

P = ParamSpec("P")
T = TypeVar("T")


class Server(Protocol):
    """What postgresql.py and mysql.py have for the servers of their kind."""

    def engine(self, url: URL, *, timeout: float) -> Engine:
        """Make an engine whose connections, locks and statements take at most `timeout` seconds each."""

    def alone(self, tx: Connection, *, timeout: float) -> AbstractContextManager[None]:
        """Let no other upgrade of the database run meanwhile."""

    def patient(self, tx: Connection) -> AbstractContextManager[None]:
        """Let statements take their time, as those that rebuild a big table do; locks keep their limit."""

    def unfit(self, tx: Connection) -> str:
        """Say why the database cannot hold a queue; empty: it can."""


class Database:
    """An engine with limits.

    :param url: of SQLAlchemy's form: `sqlite:////var/lib/gpuqueue/queue.sqlite`, `postgresql://user@host/name`,
        `mysql://user@host/name` or `mariadb://user@host/name`.
    :param timeout: seconds that a connection, a lock or a statement may take.
    :raises InvalidDatabase: the address cannot hold a queue.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        self.url = _url(url)
        self.timeout = timeout
        kind = self.url.get_backend_name()
        self.takes_tables_back = kind != "mysql"  #: a transaction's changes of tables too; MySQL commits each at once
        self.path = Path(self.url.database or "") if kind == "sqlite" else None  #: of the file; None: there is none
        self._server = None if self.path else _server(kind)
        self.engine = (
            self._server.engine(self.url, timeout=timeout)
            if self._server
            else sqlite.engine(self.url, self.path or Path(), timeout=timeout)
        )

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

    @contextmanager
    def upgrading(self) -> Iterator[Connection]:
        """A transaction for changes of tables, which may take their time; no other upgrade runs meanwhile.

        :raises InvalidDatabase: it is not set up for a queue.
        :raises StoreUnavailable: it cannot be written now.
        """
        with self.writing() as tx:
            if self._server is None:
                yield tx
                return
            with self._server.alone(tx, timeout=self.timeout), self._server.patient(tx):
                self.refuse_unfit(tx)
                yield tx

    def refuse_unfit(self, tx: Connection) -> None:
        """Make sure that the server is set up to keep what it is told.

        :raises InvalidDatabase: it is not.
        """
        why = self._server.unfit(tx) if self._server else ""
        if why:
            raise InvalidDatabase(f"the database {why}")

    def create(self) -> None:
        """Make the file if there is none. A database on a server is made by its admin."""
        if self.path:
            sqlite.create(self.path)

    def close(self) -> None:
        """Close every connection; the next access would open one again."""
        self.engine.dispose()


def retried(write: Callable[P, T]) -> Callable[P, T]:
    """Run a whole write again, in a new transaction, where the server took the first one back because of another.

    For what reads all that it goes by in its own transaction. A commit whose answer got lost may have happened all the
    same; that is no such case, and whoever asked must look first.
    """

    @wraps(write)
    def again(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_TRIES - 1):
            try:
                return write(*args, **kwargs)
            except TakenBack:
                continue
        return write(*args, **kwargs)

    return again


def _server(kind: str) -> Server:
    try:  # here, because each driver is an extra that not every site installs
        if kind == "postgresql":
            from . import postgresql

            return postgresql
        from . import mysql

        return mysql
    except ImportError as error:
        raise InvalidDatabase(f"this address needs `pip install gpuqueue-spawner[{kind}]`") from error


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise InvalidDatabase(
            "the database's address is not of the form sqlite:///FILE, postgresql://... or mysql://..."
        ) from error
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise InvalidDatabase(f"a queue cannot be kept in {backend} (possible: {', '.join(_DRIVERS)})")
    if backend == "sqlite" and (url.database in (None, "", ":memory:") or "?" in address):
        raise InvalidDatabase("SQLite's address is sqlite:///FILE, without parameters: a queue in memory would be lost")
    return url.set(drivername=_DRIVERS[backend])

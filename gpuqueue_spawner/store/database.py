"""One database: how it is opened, and what a transaction on it is. Knows SQLite and PostgreSQL, no table.

Every access goes through `reading` or `writing` here, so that every fault comes out worded (faults.py) and none of them
waits longer than the limit. Who may write is leader.py's matter.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .errors import InvalidDatabase, StoreUnavailable
from .faults import worded

_WRITING = "gpuqueue_writing"  #: execution option of a connection whose transactions write
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
        self.path = Path(self.url.database or "") if self.sqlite else None  #: of the file; None: there is none
        self.engine = self._sqlite_engine(self.path) if self.path else self._postgresql_engine()

    @property
    def sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.url.get_backend_name() == "sqlite"

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
            tx = tx.execution_options(**{_WRITING: True})
            with tx.begin():
                yield tx

    def create(self) -> None:
        """Make the file if there is none, for its owner's eyes only; SQLite gives its side files the same mode."""
        if not self.path:
            return
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"cannot make the file {self.path}: {error.strerror}") from error
        try:
            if os.fstat(handle).st_uid == os.geteuid():
                os.fchmod(handle, 0o600)  # also one that was copied here with other rights
        finally:
            os.close(handle)

    def close(self) -> None:
        """Close every connection; the next access would open one again."""
        self.engine.dispose()

    def _sqlite_engine(self, path: Path) -> Engine:
        address = f"file:{quote(str(path))}?mode=rw"  # a wrong path is a fault, not a new and empty queue

        def connect() -> sqlite3.Connection:
            # isolation_level None: Python's driver would begin by itself, and leave a SELECT outside the transaction
            return sqlite3.connect(
                address, uri=True, timeout=self.timeout, isolation_level=None, check_same_thread=False
            )

        engine = create_engine(self.url, creator=connect, pool_timeout=self.timeout)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql_engine(self) -> Engine:
        patience = max(2, round(self.timeout))  # libpq knows whole seconds, from 2
        limits = {
            "connect_timeout": patience,
            "tcp_user_timeout": patience * 1000,  # a server that fell silent, not one that refuses
            "keepalives_idle": patience,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": "gpuqueue",
            "client_encoding": "utf8",
        }
        try:
            engine = create_engine(
                self.url,
                connect_args={key: value for key, value in limits.items() if key not in self.url.query},
                isolation_level="READ COMMITTED",  # after the wait for the lease row's lock, see what is there then
                pool_pre_ping=True,
                pool_timeout=self.timeout,
            )
        except ImportError as error:
            raise InvalidDatabase("PostgreSQL needs `pip install gpuqueue-spawner[postgresql]`") from error

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            _prepare_postgresql(connection, milliseconds=round(self.timeout * 1000))

        return engine


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise InvalidDatabase("the database's address is not of the form sqlite:///FILE or postgresql://...") from error
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise InvalidDatabase(f"a queue cannot be kept in {backend} (possible: {', '.join(_DRIVERS)})")
    if backend == "sqlite" and (url.database in (None, "", ":memory:") or url.query):
        raise InvalidDatabase("SQLite's address is sqlite:///FILE, without parameters: a queue in memory would be lost")
    return url.set(drivername=_DRIVERS[backend])


def _prepare_sqlite(connection: Any, _record: object) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]  # readers and the one writer do not wait
    if mode != "wal":
        raise sqlite3.OperationalError(f"the file system does not allow write-ahead logging (it gave {mode!r})")
    connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged outlives a power cut
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get(_WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare_postgresql(connection: Any, *, milliseconds: int) -> None:
    """Set this session's limits. Not by the address: a connection pooler in between may refuse options there."""
    connection.autocommit = True  # else the next rollback takes the settings back
    for setting, share in (
        ("statement_timeout", 1.0),
        ("lock_timeout", 0.9),  # before the statement's own, else nobody learns that it was a lock
        # A leader that is paused in the middle of a change must not keep the lease row from the next leader.
        ("idle_in_transaction_session_timeout", 1.0),
    ):
        connection.execute("SELECT set_config(%s, %s, false)", (setting, str(round(milliseconds * share))))
    # A site may ask for more than "on" (a standby's answer), never for less: what was acknowledged is kept.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.autocommit = False

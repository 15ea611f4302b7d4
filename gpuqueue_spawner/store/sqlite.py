"""How a SQLite file is opened: who may read it, what a commit means, when a transaction begins. Knows no table.

The other kinds of database: postgresql.py, mysql.py. Who uses them: database.py.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event

from .errors import StoreUnavailable

AGAIN_S = 0.02
WRITING = "gpuqueue_writing"  #: execution option of a connection whose transactions write


def create(path: Path) -> None:
    """Make the file if there is none, for its owner's eyes only; SQLite gives its side files the same mode.

    :raises StoreUnavailable: it cannot be made.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot make the file {path}: {error.strerror}") from error
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            os.fchmod(handle, 0o600)  # also one that was copied here with other rights
    finally:
        os.close(handle)


def engine(url: URL, path: Path, *, timeout: float) -> Engine:
    """An engine on an existing file; `timeout` in seconds is for its lock."""
    address = f"file:{quote(str(path))}?mode=rw"  # a wrong path is a fault, not a new and empty queue

    def connect() -> sqlite3.Connection:
        # isolation_level None: Python's driver would begin by itself, and leave a SELECT outside the transaction
        return sqlite3.connect(address, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)

    made = create_engine(url, creator=connect, pool_timeout=timeout)
    event.listen(made, "connect", lambda connection, _record: _prepare(connection, timeout=timeout))
    event.listen(made, "begin", _begin)
    return made


def _prepare(connection: Any, *, timeout: float) -> None:
    mode = _write_ahead(connection, until=time.monotonic() + timeout)  # readers and the one writer do not wait
    if mode != "wal":
        raise sqlite3.OperationalError(f"the file system does not allow write-ahead logging (it gave {mode!r})")
    connection.execute("PRAGMA synchronous = FULL")  # what was acknowledged outlives a power cut
    connection.execute("PRAGMA foreign_keys = ON")


def _write_ahead(connection: Any, *, until: float) -> str:
    """Two that open a new file both want it for themselves: SQLite then refuses one at once, whatever its limit."""
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get(WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

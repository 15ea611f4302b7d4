"""A consistent copy of a SQLite file while it is in use. Knows files; for other databases their own tools exist."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from .database import Database
from .errors import BackupRefused, StoreUnavailable
from .faults import worded


def backup(database: Database, target: Path) -> None:
    """Copy the whole database as it is at one moment, as one file for its owner's eyes only, which appears when whole.

    :raises BackupRefused: not a SQLite database, or the target exists.
    :raises StoreUnavailable: the database cannot be read or is damaged, or the target cannot be written.
    """
    if database.path is None:
        raise BackupRefused(
            target, "only SQLite is copied by this command; a server has pg_dump, mariadb-dump or mysqldump"
        )
    if target.exists() or target.is_symlink():
        raise BackupRefused(target, "it exists already, and is not overwritten")
    part = target.with_name(f"{target.name}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        with worded(database.timeout):
            _copy(database, part)
        _flush(part)
        os.link(part, target)  # refuses what has come into being meanwhile, unlike a rename
        _flush(target.parent)
    except FileExistsError:
        raise BackupRefused(target, "it exists already, and is not overwritten") from None
    except OSError as error:
        raise StoreUnavailable(f"cannot write {part}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _copy(database: Database, part: Path) -> None:
    with database.reading() as tx, closing(sqlite3.connect(part, timeout=database.timeout)) as copy:
        source = tx.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)  # all pages in one step: a writer goes on in the log and is not in the copy
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without side files
        verdict = copy.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.OperationalError(f"the copy is malformed: {verdict}")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

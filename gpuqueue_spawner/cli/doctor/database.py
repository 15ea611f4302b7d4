"""Checks of the queue's database. Knows what to ask; how it is asked without changing it: store/looks.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ...store import InvalidDatabase, SchemaMismatch, StoreUnavailable
from ...store.database import Database
from ...store.looks import clock as clock_of
from ...store.looks import opened_before, refuses_writes
from ...store.schema import Schema
from .clocks import compared, now
from .deployment import Deployment
from .findings import Check, Finding, ok, problem, warning

LIMIT_S = 5.0
SHARES = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs", "fuse.glusterfs"})


@contextmanager
def _database(it: Deployment) -> Iterator[Database]:
    database = Database(it.app.db_url, timeout=min(LIMIT_S, it.app.database_limit))
    try:
        yield database
    finally:
        database.close()


def answers(it: Deployment) -> Finding:
    """Whether it can be read at all."""
    try:
        with _database(it) as database:
            if database.path:
                return _file(it, database.path)
            with database.reading():
                return ok(f"{_shown(database)} answers.")
    except InvalidDatabase as error:
        return problem(f"{_sentence(error)}.", "Mend c.ManagerApp.db_url.")
    except StoreUnavailable as error:
        return problem(f"{_sentence(error)}.", "Start the server, or mend c.ManagerApp.db_url and its password.")


def _file(it: Deployment, path: Path) -> Finding:
    made = f"gpuqueue upgrade-db -f {it.asked.config}"
    if not path.exists():
        return problem(f"There is no file {path}.", f"Make it: `{made}`.")
    if not os.access(path, os.R_OK):
        return problem(f"This user may not read {path}.", "Run this as the manager's user.")
    if not opened_before(path):
        return problem(f"No queue manager has ever opened {path}.", f"Is it the right file? If so: `{made}`.")
    kind = file_system(path)
    if kind in SHARES:
        return warning(
            f"{path} lies on a share ({kind}), where SQLite's locks cannot be trusted.",
            "Keep it on a disk of the manager's machine, or use PostgreSQL or MariaDB.",
        )
    return ok(f"The file {path} is there.")


def file_system(path: Path) -> str:
    """The kind of file system that a file lies on."""
    real = path.resolve()
    mounts = [each for each in psutil.disk_partitions(all=True) if real.is_relative_to(each.mountpoint)]
    return max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else ""


def schema(it: Deployment) -> Finding:
    """Whether this version can work with it."""
    try:
        with _database(it) as database:
            right = Schema(database)
            right.check()
            return ok(f"It has this version's schema, {right.expected}.")
    except SchemaMismatch as error:
        return problem(
            f"{_sentence(error)}.",
            f"Make a backup, then `gpuqueue upgrade-db -f {it.asked.config}` unless the line above says otherwise.",
        )
    except (InvalidDatabase, StoreUnavailable) as error:
        return problem(f"{_sentence(error)}.")


def writable(it: Deployment) -> Finding:
    """Whether it takes changes; none is made."""
    try:
        with _database(it) as database:
            refuses_writes(database)
    except StoreUnavailable as error:
        return problem(
            f"It takes no changes: {error.cause}.",
            "Give the manager's user the right to write, or name the server that is not a standby.",
        )
    return ok("It takes changes.")


def clock(it: Deployment) -> Finding:
    """Against ours."""
    with _database(it) as database:
        asked = now()
        theirs = clock_of(database)
        if theirs is None:
            return ok("It is a file, and has no clock of its own.")
        return compared("The database's", theirs, asked=asked, answered=now())


def _shown(database: Database) -> str:
    return database.url.set(drivername=database.url.get_backend_name()).render_as_string(hide_password=True)


def _sentence(error: Exception) -> str:
    words = str(error).rstrip(".")
    return f"{words[:1].upper()}{words[1:]}"


CHECKS = (
    Check(
        name="database.answers",
        asks="The database is there and can be read; a file does not lie on a share.",
        look=answers,
        needs=("manager.settings",),
    ),
    Check(
        name="database.schema",
        asks="It has the schema of this version.",
        look=schema,
        needs=("manager.settings", "database.answers"),
    ),
    Check(
        name="database.writable",
        asks="It takes changes. None is made.",
        look=writable,
        needs=("manager.settings", "database.answers", "database.schema"),
    ),
    Check(
        name="database.clock",
        asks="Its clock agrees with this machine's.",
        look=clock,
        needs=("manager.settings", "database.answers"),
    ),
)

"""`gpuqueue upgrade-db` and `gpuqueue backup`: what an admin does to the queue's database by hand.

Knows where a manager's configuration names the database; the work is the store's.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from ..service.app import ManagerApp
from ..store import BackupRefused, InvalidDatabase, SchemaMismatch, Store, StoreUnavailable


def upgrade(argv: list[str]) -> int:
    """Bring the database to this version's schema; the exit status."""
    parser = _parser("upgrade-db", "Bring the queue's database to this version's schema. Make a backup before.")
    given = parser.parse_args(argv)
    try:
        with closing(Store(_url(given))) as store:
            store.upgrade()
    except (InvalidDatabase, SchemaMismatch, StoreUnavailable) as error:
        return _failed("upgrade-db", error)
    print("The database has this version's schema.")
    return 0


def backup(argv: list[str]) -> int:
    """Write a consistent copy of a running SQLite queue; the exit status."""
    parser = _parser("backup", "Write a consistent copy of a SQLite queue, also while it is in use.")
    parser.add_argument("target", type=Path, help="the copy; it must not exist yet")
    given = parser.parse_args(argv)
    try:
        with closing(Store(_url(given))) as store:
            store.check()
            store.backup(given.target)
    except (BackupRefused, InvalidDatabase, SchemaMismatch, StoreUnavailable) as error:
        return _failed("backup", error)
    print(f"The queue was copied to {given.target}.")
    return 0


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"gpuqueue {name}", description=description)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-f", "--config", help="the manager's configuration file, which names the database")
    where.add_argument("--db", help="the database's URL; one with a password: in the variable GPUQUEUE_DB_URL instead")
    return parser


def _url(given: argparse.Namespace) -> str:
    if given.db:
        return str(given.db)
    app = ManagerApp()
    app.initialize(["-f", given.config] if given.config else [])
    return str(app.db_url)


def _failed(name: str, error: Exception) -> int:
    print(f"gpuqueue {name}: {error}", file=sys.stderr)
    return 1

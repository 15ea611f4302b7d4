"""A PostgreSQL server of the tests' own. How it lives: database.py."""

from __future__ import annotations

import shutil
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg

from . import MissingProgram
from .database import DatabaseServer, running

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # tests kill processes, they do not cut the power
    "shared_buffers": "16MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}


class PostgreSQL(DatabaseServer):
    """One PostgreSQL."""

    ends = signal.SIGINT
    fault = psycopg.OperationalError

    def initialise(self) -> None:
        """Make the server's data."""
        self._run(
            _binaries() / "initdb",
            *("--pgdata", str(self.folder / "data"), "--username=gpuqueue", "--auth=trust"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        )

    def command(self) -> list[str | Path]:
        """What runs it in the foreground."""
        settings = [f"--{key}={value}" for key, value in _SETTINGS.items()]
        return [_binaries() / "postgres", "-D", self.folder / "data", "-k", self.folder, *settings]

    def administer(self, statement: str) -> None:
        """Execute a statement as its admin."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def make(self, name: str) -> None:
        """Make an empty database."""
        self.administer(f"CREATE DATABASE {name}")

    def empty(self, address: str) -> None:
        """Make a database as good as new; ends its other sessions."""
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def tool(self, *command: str | Path) -> None:
        """Run one of its own programs, such as pg_dump."""
        name, *arguments = command
        self._run(_binaries() / name, *map(str, arguments))

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://gpuqueue@/{name}?host={self.folder}"


def postgresql() -> AbstractContextManager[PostgreSQL]:
    """A running server, which is stopped and forgotten at the end.

    :raises MissingProgram: it is not installed.
    """
    return running(PostgreSQL, "pg-")


def _binaries() -> Path:
    """The newest installed version's programs; Debian keeps them off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise MissingProgram("PostgreSQL", "postgresql")
    return (found[-1] if found else Path(str(on_path)).resolve()).parent

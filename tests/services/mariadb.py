"""A MariaDB server of the tests' own. How it lives: database.py."""

from __future__ import annotations

import shutil
import signal
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

import pymysql
from sqlalchemy.engine import make_url

from . import MissingProgram
from .database import DatabaseServer, running

_SETTINGS = {
    "skip-networking": "1",
    "innodb-flush-method": "nosync",  # tests kill processes, they do not cut the power
    "loose-sync-frm": "0",
    "loose-innodb-file-per-table": "0",  # a table is made in a fifth of the time
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "8M",
    "max-connections": "60",
    "log-warnings": "0",
    # What a site may have set long ago: nothing of it may change what the queue keeps.
    "sql-mode": "ANSI_QUOTES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH",
    "transaction-isolation": "SERIALIZABLE",
    "default-storage-engine": "MyISAM",
}


class MariaDB(DatabaseServer):
    """One MariaDB."""

    ends = signal.SIGTERM
    fault = pymysql.OperationalError

    def initialise(self) -> None:
        """Make the server's data."""
        self._run(
            _program("mariadb-install-db"),
            *("--no-defaults", f"--datadir={self.folder / 'data'}", "--skip-test-db", "--skip-name-resolve"),
            *("--auth-root-authentication-method=normal", "--innodb-flush-method=nosync"),
            "--innodb-log-file-size=8M",
        )

    def command(self) -> list[str | Path]:
        """What runs it in the foreground."""
        settings = [f"--{key}={value}" for key, value in _SETTINGS.items()]
        places = [f"--datadir={self.folder / 'data'}", f"--socket={self._socket}", f"--tmpdir={self.folder}"]
        return [_program("mariadbd"), "--no-defaults", *places, *settings]

    def administer(self, statement: str) -> None:
        """Execute a statement as its admin."""
        with closing(self._session("root", "mysql")) as session, session.cursor() as cursor:
            cursor.execute(statement)

    def make(self, name: str) -> None:
        """Make an empty database, with a user who has rights on it alone: nobody who is above the server's limits."""
        self.administer(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.administer("CREATE USER IF NOT EXISTS gpuqueue@localhost")
        self.administer(f"GRANT ALL ON {name}.* TO gpuqueue@localhost")

    def empty(self, address: str) -> None:
        """Make a database as good as new; ends its other sessions."""
        name = make_url(address).database
        with closing(self._session("root", "mysql")) as session, session.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
            for (other,) in cursor.fetchall():
                self._end(cursor, other)
            cursor.execute(f"DROP DATABASE {name}")
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"mysql://gpuqueue@/{name}?unix_socket={self._socket}"

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    def _session(self, user: str, name: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
        return pymysql.connect(
            user=user, database=name, unix_socket=str(self._socket), autocommit=True, read_timeout=60
        )

    def _end(self, cursor: pymysql.cursors.Cursor, session: int) -> None:
        with suppress(pymysql.OperationalError):  # it has ended by itself
            cursor.execute(f"KILL {session}")


def mariadb() -> AbstractContextManager[MariaDB]:
    """A running server, which is stopped and forgotten at the end.

    :raises MissingProgram: it is not installed.
    """
    return running(MariaDB, "my-")


def _program(name: str) -> str:
    """A program of MariaDB; some are where only root looks for them."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not found:
        raise MissingProgram("MariaDB", "mariadb-server-core mariadb-client-core")
    return found

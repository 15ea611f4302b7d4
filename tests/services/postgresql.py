"""A PostgreSQL server of the tests' own: its data in a temporary folder, reached by a socket in it, no port.

Knows how to start and stop one. Which tests share it: tests/store/conftest.py.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from . import MissingProgram

START_S = 60  # on an idle machine it takes less than one
STOP_S = 20

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # tests kill processes, they do not cut the power
    "shared_buffers": "16MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}


class PostgreSQL:
    """One server, which its databases can be made on and which can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = _binaries()
        self._account = _account()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def initialise(self) -> None:
        """Make the server's data."""
        if self._account:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
        self._run(
            self._bin / "initdb",
            *("--pgdata", str(self.folder / "data"), "--username=gpuqueue", "--auth=trust"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = [f"--{key}={value}" for key, value in _SETTINGS.items()]
        command = [self._bin / "postgres", "-D", self.folder / "data", "-k", self.folder, *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # the signal asks it to stop, should the tests themselves be killed
                ["setpriv", "--pdeathsig=INT", *self._as_user(), *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        until = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.address("postgres")).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise RuntimeError((self.folder / "log").read_text()) from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, without waiting for its clients."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_S)
        self._process = None

    def freeze(self, *, thaw: bool = False) -> None:
        """Stop all its processes where they are, as a machine out of breath does, or let them go on."""
        assert self._process
        server = psutil.Process(self._process.pid)
        for process in [server, *server.children(recursive=True)]:
            process.send_signal(signal.SIGCONT if thaw else signal.SIGSTOP)

    def database(self) -> str:
        """Make an empty database; returns its address."""
        name = f"queue{next(self._numbers)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.address(name)

    def empty(self, address: str) -> None:
        """Make a database as good as new, which takes a tenth of making a new one; ends its other sessions."""
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://gpuqueue@/{name}?host={self.folder}"

    def _as_user(self) -> list[str]:
        """PostgreSQL refuses to run as root."""
        if not self._account:
            return []
        return [f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}", "--clear-groups"]

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            ["setpriv", "--pdeathsig=KILL", *self._as_user(), *command], capture_output=True, text=True, cwd="/"
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr}")


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A running server, which is stopped and forgotten at the end.

    :raises MissingProgram: it is not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path has at most 107 characters
    server = PostgreSQL(folder)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _binaries() -> Path:
    """The newest installed version's programs; Debian keeps them off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise MissingProgram("PostgreSQL", "postgresql")
    if not shutil.which("setpriv"):
        raise MissingProgram("setpriv", "util-linux")
    return (found[-1] if found else Path(str(on_path)).resolve()).parent


def _account() -> pwd.struct_passwd | None:
    """Whom it runs as; None: whoever runs the tests."""
    return None if os.geteuid() else pwd.getpwnam("nobody")

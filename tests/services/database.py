"""A database server of the tests' own: its data in a temporary folder, reached by a socket in it, no port.

Knows how one lives, is frozen, killed and started again. What is peculiar to a kind: postgresql.py, mariadb.py. Which
tests share one: tests/store/conftest.py.
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
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil

from . import MissingProgram

START_S = 120  # on an idle machine it takes less than one
STOP_S = 30

S = TypeVar("S", bound="DatabaseServer")


class DatabaseServer(ABC):
    """One server, which its databases can be made on and which can be stopped, frozen, killed and started."""

    ends: signal.Signals  #: makes it stop without waiting for its clients
    fault: type[Exception]  #: of its driver, while it does not answer

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._account = _account()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        if not shutil.which("setpriv"):
            raise MissingProgram("setpriv", "util-linux")

    @abstractmethod
    def initialise(self) -> None:
        """Make the server's data."""

    @abstractmethod
    def command(self) -> list[str | Path]:
        """What runs it in the foreground."""

    @abstractmethod
    def administer(self, statement: str) -> None:
        """Execute a statement as its admin, outside the databases made here."""

    @abstractmethod
    def make(self, name: str) -> None:
        """Make an empty database."""

    @abstractmethod
    def empty(self, address: str) -> None:
        """Make a database as good as new, which takes a tenth of making a new one; ends its other sessions."""

    @abstractmethod
    def address(self, name: str) -> str:
        """The address of a database."""

    @property
    def running(self) -> bool:
        """Whether it runs, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def database(self) -> str:
        """Make an empty database; returns its address."""
        name = f"queue{next(self._numbers)}"
        self.make(name)
        return self.address(name)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # the signal asks it to stop, should the tests themselves be killed
                ["setpriv", f"--pdeathsig={self.ends.name[3:]}", *self._as_user(), *self.command()],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        until = time.monotonic() + START_S
        while True:
            try:
                self.administer("SELECT 1")
                return
            except self.fault as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    raise RuntimeError((self.folder / "log").read_text()) from error
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, without waiting for its clients."""
        if self._process is None:
            return
        self._process.send_signal(self.ends)
        try:
            self._process.wait(STOP_S)
            self._process = None
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut does but for the disk; the next start recovers what was committed."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait(STOP_S)
        self._process = None

    def freeze(self, *, thaw: bool = False) -> None:
        """Stop all its processes where they are, as a machine out of breath does, or let them go on."""
        self._signal(signal.SIGCONT if thaw else signal.SIGSTOP)
        until = time.monotonic() + STOP_S
        while not thaw and not all(map(_stands_still, self._processes())):
            assert time.monotonic() < until, "it goes on running"
            time.sleep(0.005)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):  # one for each session: they come and go
                process.send_signal(number)

    def _processes(self) -> list[psutil.Process]:
        if self._process is None or not self.running:
            return []
        server = psutil.Process(self._process.pid)
        return [server, *server.children(recursive=True)]

    def _as_user(self) -> list[str]:
        """Database servers refuse to run as root."""
        if not self._account:
            return []
        return [f"--reuid={self._account.pw_uid}", f"--regid={self._account.pw_gid}", "--clear-groups"]

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            ["setpriv", "--pdeathsig=KILL", *self._as_user(), *command], capture_output=True, text=True, cwd="/"
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")


@contextmanager
def running(kind: type[S], prefix: str) -> Iterator[S]:
    """A running server, which is stopped and forgotten at the end.

    :raises MissingProgram: it is not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # a socket's path has at most 107 characters
    try:
        server = kind(folder)
        if server._account:
            os.chown(folder, server._account.pw_uid, server._account.pw_gid)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.freeze(thaw=True)  # whatever a test left: a frozen server cannot be stopped
            server.stop()
    finally:
        shutil.rmtree(folder)


def _stands_still(process: psutil.Process) -> bool:
    """Whether each thread is stopped, which on a busy machine takes longer than to send the signal."""
    for stat in Path(f"/proc/{process.pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if stat.read_text().rpartition(")")[2].split()[0] not in "TZX":
                return False
    return True


def _account() -> pwd.struct_passwd | None:
    """Whom it runs as; None: whoever runs the tests."""
    return None if os.geteuid() else pwd.getpwnam("nobody")

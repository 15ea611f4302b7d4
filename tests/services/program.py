"""Real programs that tests start, watch, kill, pause and stop; each in a session of its own, its output in a file."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """A port of the loopback address that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(
    true: Callable[[], object], *, within: float, what: str, story: Callable[[], str] = str, every: float = 0.1
) -> object:
    """Wait until `true()` is, and return it; fails with `what`, the last answer, and `story()` as it is then."""
    end = time.monotonic() + within
    while True:
        answer = true()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within:g} s (last: {answer!r})\n{story()}")
        time.sleep(every)


@functools.cache
def for_everybody(program: Path) -> Path:
    """A copy of a small program that every user of this machine can reach; the tree may lie in a home of root's."""
    folder = Path(tempfile.mkdtemp(prefix="gpuqueue-programs-", dir="/var/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    copy = Path(shutil.copy(program, folder))
    copy.chmod(0o644)
    return copy


@dataclass
class Program:
    """One process that can be started again."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it printed before stays in its log."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.env},
                cwd=self.cwd,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and see it gone."""
        self.signal(signal.SIGKILL)
        self._reap(10)

    def stop(self, *, within: float = 20) -> None:
        """SIGTERM, as an upgrade does; kill -9 when that does not help."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._reap(within)

    def _reap(self, within: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"{self.name} did not end within {within} s") from None

    def tail(self, lines: int = 25) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

"""A real `gpuqueue demo` in a folder of its own, as somebody starts it in a terminal."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import requests

from gpuqueue_spawner.cli import machine
from gpuqueue_spawner.cli.folder import Folder

from .program import Program, free_port, until

TREE = Path(__file__).parents[2]


class Demo:
    """One demo, which can be ended and started again."""

    def __init__(self, path: Path, *options: str, command: str = "demo") -> None:
        self.folder = Folder(path / "data")
        self.port = free_port()
        argv = [sys.executable, "-m", "gpuqueue_spawner.cli", command, "--port", str(self.port)]
        argv += ["--data", str(self.folder.path), *options]
        self.program = Program(command, argv, path / f"{command}.log", {"PYTHONPATH": str(TREE)})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        """What it printed since it was started."""
        return self.program.log.read_text(errors="replace")

    def start(self, *, within: float = 60) -> None:
        """Start it, and wait until it says that it is up."""
        self.program.log.unlink(missing_ok=True)
        self.program.start()
        until(lambda: "is up" in self.said(), within=within, what=f"the demo is up\n{self.program.tail()}")

    def pid(self, name: str) -> int:
        """The process of one of its programs."""
        marks = {"slapd": "/slapd", "proxy": "configurable-http-proxy", "manager": "demo_manager.py", "hub": "demo.py"}
        assert self.program.process is not None
        children = psutil.Process(self.program.process.pid).children()
        for child in children:
            with contextlib.suppress(psutil.Error):  # it may just have ended
                if re.search(marks[name], " ".join(child.cmdline())):
                    return child.pid
        return 0

    def end(self, number: signal.Signals = signal.SIGINT, *, within: float = 60) -> int:
        """Signal it, and wait for its end; its exit status."""
        self.program.signal(number)
        assert self.program.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.program.process.wait(within)
        raise AssertionError(f"the demo did not end within {within} s\n{self.program.tail()}")

    def left(self) -> list[str]:
        """Processes that belong to this demo, by their environment or their arguments: read from the machine."""
        signs = (str(self.folder.path), f"--port {self.port}", f"{machine.MARK}={self.folder.instance() or '?'}/")
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = " ".join([*process.cmdline(), *(f"{key}={value}" for key, value in process.environ().items())])
                if process.status() != psutil.STATUS_ZOMBIE and any(sign in words for sign in signs):
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        return found

    def notebooks(self) -> list[int]:
        """Processes of jobs."""
        return sorted(process.pid for process in machine.marked(self.folder.instance()))


class Guest:
    """Somebody with one of the demo's accounts, over HTTP as a browser would."""

    def __init__(self, demo: Demo, name: str) -> None:
        self.demo, self.name = demo, name
        self.session = requests.Session()

    def login(self) -> Guest:
        """Log in by the form."""
        account = self.demo.folder.accounts()[self.name]
        self.session.get(f"{self.demo.url}/hub/login", timeout=20)
        form = {"username": self.name, "password": account["password"]}
        where, params = f"{self.demo.url}/hub/login", {"_xsrf": self._xsrf()}
        answer = self.session.post(where, params=params, data=form, allow_redirects=False, timeout=30)
        assert answer.status_code == 302, f"{self.name}: {answer.status_code} {answer.text[:300]}"
        return self

    def _xsrf(self) -> str:
        return next(str(each.value) for each in self.session.cookies if each.name == "_xsrf" and each.path == "/hub/")

    def hub(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask the Hub's API as a page would."""
        headers = {"X-XSRFToken": self._xsrf()}
        return self.session.request(method, f"{self.demo.url}/hub/api{path}", headers=headers, timeout=30, **more)

    def ask(self, **options: str) -> None:
        """Ask for a notebook."""
        answer = self.hub("POST", f"/users/{self.name}/server", data=json.dumps(options))
        assert answer.status_code in (201, 202), f"{answer.status_code} {answer.text}"

    def server(self) -> dict[str, Any]:
        """What the Hub says of the notebook; empty: it knows of none."""
        found: dict[str, Any] = self.hub("GET", f"/users/{self.name}").json().get("servers", {}).get("", {})
        return found

    def ready(self, *, within: float = 90) -> None:
        """Wait until the notebook answers."""
        what = f"{self.name}'s notebook is ready\n{self.demo.said()}"
        until(lambda: self.server().get("ready"), within=within, what=what)


def take_tour(*options: str, within: float = 400) -> tuple[int, str, list[str]]:
    """Run `gpuqueue tour` to its end: exit status, what it printed, processes that are left."""
    with demo(*options, command="tour") as it:
        it.program.start()
        assert it.program.process is not None
        status = it.program.process.wait(within)
        return status, it.said(), it.left()


@contextlib.contextmanager
def demo(*options: str, command: str = "demo") -> Iterator[Demo]:
    """A demo, or a tour of one, that has not been started yet; ended and gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="gpuqueue-demo-", dir="/var/tmp"))  # people's own folders are below
    path.chmod(0o711)
    it = Demo(path, *options, command=command)
    try:
        yield it
    finally:
        it.program.kill()
        machine.send([*machine.marked(it.folder.instance())], signal.SIGKILL)
        shutil.rmtree(path, ignore_errors=True)

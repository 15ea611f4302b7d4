"""Real processes of made-up jobs, found by their marks alone and in cgroups of both kinds; none outlives its test."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.capacity import Process, cgroups, procfs
from gpuqueue_spawner.capacity.cgroups import CGroups, Hierarchy
from gpuqueue_spawner.capacity.processes import ProcessTable


def eventually(question: Callable[[], Any], *, within: float = 10.0) -> Any:
    """Ask until the answer is true, and return it."""
    until = time.monotonic() + within
    while not (answer := question()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
    return answer


def tell(program: subprocess.Popen[str], line: str) -> None:
    """Write a line to a program that reads one."""
    assert program.stdin is not None
    program.stdin.write(f"{line}\n")
    program.stdin.flush()


def said(program: subprocess.Popen[str]) -> str:
    """All that an ended program and its children wrote; one that lives on fails the test rather than holds it up."""
    return program.communicate(timeout=10)[0]


def hierarchy_of(kind: str) -> Hierarchy | None:
    """The hierarchy of this machine for "cgroup1" or "cgroup2", None for "marks"."""
    if kind == "marks":
        return None
    if os.geteuid() != 0:
        pytest.skip("only root makes cgroups")
    mounted = cgroups.hierarchies(Path("/proc/self/mounts").read_text())
    for hierarchy in mounted:
        if hierarchy.version == int(kind[-1]) and os.access(hierarchy.root, os.W_OK):
            return hierarchy
    pytest.skip(f"this machine has no writable {kind}")


class Installation:
    """One queue on this machine: what it knows, and the programs that it launched."""

    def __init__(self, hierarchy: Hierarchy | None) -> None:
        self.instance = secrets.token_hex(4)
        self.token = str(secrets.randbelow(10**12) + 10**12)
        self.cgroups = CGroups(self.instance, hierarchy)
        self.table = ProcessTable(self.instance, self.cgroups)
        self.children: list[subprocess.Popen[str]] = []

    def run(self, program: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a shell program that is nobody's job. SLEEP in it is a process that goes on, and that `clear` finds."""
        self.children.append(
            subprocess.Popen(
                ["sh", "-c", program.replace("SLEEP", f"sleep 1000.{self.token}"), self.token, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        )
        return self.children[-1]

    def launch(self, key: str, program: str, *arguments: str, launch: int = 1, gpus: str = "") -> subprocess.Popen[str]:
        """Start a shell program as the job, in its cgroup where there are cgroups, as the launch wrapper does."""
        join = "".join(f"echo $$ > {path}; " for path in self.cgroups.prepare(key))
        marks = {"GPUQUEUE_JOB": f"{self.instance}/{key}/{launch}", "GPUQUEUE_GPUS": gpus}
        return self.run(join + program, *arguments, environment=marks)

    def found(self, key: str) -> tuple[Process, ...]:
        """The living processes of the job."""
        return self.table.census().jobs.get(key, ())

    def commands(self, key: str) -> set[str]:
        """Their names."""
        return {process.command for process in self.found(key)}

    def remains(self) -> list[int]:
        """Every process of the test, whatever the table knows of it."""
        return [
            pid for pid in procfs.pids() if self._is_ours(pid) and (stat := procfs.stat(pid)) is not None and stat.alive
        ]

    def _is_ours(self, pid: int) -> bool:
        try:
            return self.token.encode() in procfs.read(f"/proc/{pid}/cmdline")
        except OSError:
            return False

    def clear(self) -> None:
        """Leave nothing behind."""
        for child in self.children:
            child.kill()
        while left := self.remains():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for child in self.children:
            child.communicate()
        for key in self.cgroups.keys():  # noqa: SIM118  # no dict
            eventually(lambda key=key: self.cgroups.release(key))
        assert self.cgroups.home is None or not self.cgroups.home.exists()


@pytest.fixture
def another() -> Iterator[Callable[..., Installation]]:
    """Makes installations; all they started is gone after the test."""
    made: list[Installation] = []

    def make(kind: str = "marks") -> Installation:
        made.append(Installation(hierarchy_of(kind)))
        return made[-1]

    yield make
    for installation in made:
        installation.clear()


@pytest.fixture(params=["marks", "cgroup1", "cgroup2"])
def machine(request: pytest.FixtureRequest, another: Callable[..., Installation]) -> Installation:
    """An installation, on each kind of system."""
    return another(request.param)


@pytest.fixture
def plain(another: Callable[..., Installation]) -> Installation:
    """An installation on a system without cgroups."""
    return another("marks")

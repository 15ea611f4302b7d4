"""Machines that are namespaces of this one, and programs in them.

A machine has processes, mounts, network and a host name of its own. The first one, the head, is held by keeper.py; the
others live in its process namespace. What a machine looks like inside: machine.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.program import Program, until

from . import keeper

TREE = Path(__file__).parents[3]
START_S = 30
END_S = 60
CLONE_NEWNET, CLONE_NEWPID = 0x40000000, 0x20000000  # os.setns came with Python 3.12

#: What is joined of a machine. Its root too: a machine in a changed root would else be left by its mount namespace.
ENTERED = ("--mount", "--net", "--uts", "--ipc", "--root")

#: What a kubelet sets for the whole machine unless it finds it so.
KUBELET_SETTINGS = {
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.keys.root_maxbytes": "25000000",
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a machine differs from the one that it runs on."""

    folders: Sequence[str] = ()  #: what it writes there, it writes for itself
    disks: Sequence[str] = ()  #: folders of its own on a real disk
    feigned: Mapping[str, str] = field(default_factory=dict)  #: kernel settings that it sees, and that are not so
    programs: Sequence[str] = ()  #: folders laid over /usr/sbin
    network: Mapping[str, str] = field(default_factory=dict)  #: settings below /proc/sys/net, its own


class Machine:
    """One machine that runs."""

    def __init__(self, name: str, folder: Path, pid: int) -> None:
        self.name = name
        self.folder = folder
        self.pid = pid  #: of its first process, as seen from here
        until(lambda: (folder / "ready").exists(), within=START_S, what=f"{name} is a machine", every=0.02)

    @property
    def root(self) -> Path:
        """Its file system, seen from here; a socket's path has at most 107 characters, and these stay short."""
        return Path(f"/proc/{self.pid}/root")

    def inside(self, *argv: str | Path) -> list[str]:
        """The command line that runs this one in the machine."""
        return ["nsenter", f"--target={self.pid}", *ENTERED, "--", *map(str, argv)]

    def run(self, *argv: str | Path, text: str | None = None) -> str:
        """Run a program in it to its end; returns what it printed."""
        with children_in(self.pid):
            return run(*self.inside(*argv), text=text)

    def network(self, *lines: str) -> None:
        """Lines for ip(8), carried out in its network."""
        run("nsenter", f"--target={self.pid}", "--net", "ip", "-batch", "-", text="\n".join(lines))

    def program(self, name: str, *argv: str | Path, env: Mapping[str, str] | None = None) -> Inside:
        """A program of it that is still to be started."""
        own = {"TMPDIR": "/run/tmp", **(env or {})}  # what it leaves there when killed goes with the machine
        return Inside(name, self.inside(*argv), self.folder / f"{name}.log", env=own, machine=self.pid)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return Path(f"/proc/{self.pid}").exists()

    def unplug(self) -> None:
        """Kill every process of it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        until(self._gone, within=START_S, what=f"{self.name} is dead", every=0.02)

    def _gone(self) -> bool:
        reap()
        return not self.alive


@dataclass
class Inside(Program):
    """A program in a machine."""

    machine: int = 0  #: the machine's first process

    def start(self) -> None:
        """Start it; what it printed before stays in its log."""
        with children_in(self.machine):
            super().start()
        _started.append(self.process)

    def mend(self) -> None:
        """Let it run, whatever was done to it."""
        if self.alive:
            self.resume()
        else:
            self.start()

    def pause(self) -> None:
        """Stop it where it is."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)


# Children of ours in another process namespace: it ends only once we have seen them end.
_started: list[subprocess.Popen[bytes] | None] = []


def reap() -> None:
    """See which of our children have ended."""
    _started[:] = [process for process in _started if process is not None and process.poll() is None]


def run(*argv: str | Path, text: str | None = None, within: float | None = None) -> str:
    """Run a program to its end; returns what it printed, and fails with what it complained about."""
    done = subprocess.run(list(map(str, argv)), input=text, capture_output=True, text=True, timeout=within)
    if done.returncode:
        raise AssertionError(
            f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout}{done.stderr}".strip()
        )
    return done.stdout


def own_python() -> dict[str, str]:
    """What a program of this package needs wherever it runs."""
    return {"PYTHONPATH": str(TREE)}


@contextlib.contextmanager
def head(folder: Path, lock: int, shape: Shape) -> Iterator[Machine]:
    """The first machine; at the end, or should we die, everything in its process namespace ends and the folder goes.

    Folder and lock: keeper.new_folder().
    """
    describe(folder / "head", "head", shape)
    with open(folder / "keeper.log", "ab") as log:
        holder = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.keeper", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **own_python()},
            start_new_session=True,
            pass_fds=[lock],
        )
    os.close(lock)
    assert holder.stdin
    assert holder.stdout
    try:
        line = holder.stdout.readline()
        assert line, (folder / "keeper.log").read_text()
        yield Machine("head", folder / "head", int(line))
    finally:
        holder.stdin.close()
        until(lambda: reap() or holder.poll() is not None, within=END_S, what=f"{folder} is cleared away")
        holder.stdout.close()


def another(head: Machine, name: str, folder: Path, shape: Shape) -> Machine:
    """One more machine, which ends with the head at the latest."""
    describe(folder, name, shape)
    with open(folder / "machine.log", "ab") as log, children_in(head.pid):
        launcher = subprocess.Popen(
            [*keeper.NAMESPACES, sys.executable, "-m", keeper.FIRST_PROCESS, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **own_python()},
            start_new_session=True,
        )
    _started.append(launcher)
    return Machine(name, folder, keeper.first_process(launcher.pid))


def describe(folder: Path, name: str, shape: Shape) -> None:
    """Write down what machine.py is to make."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "ready").unlink(missing_ok=True)
    (folder / "machine.json").write_text(json.dumps({"name": name, **vars(shape)}))


def in_network_of(machine: Machine) -> contextlib.AbstractContextManager[None]:
    """Be in a machine's network: this thread, and every process and thread that it starts."""
    return _joined(machine.pid, "net", CLONE_NEWNET)


def children_in(machine: int) -> contextlib.AbstractContextManager[None]:
    """Have children in a machine's process namespace, itself given by its first process.

    nsenter would do it by a process that waits between us and the child, and that stops for good when the child does.
    """
    return _joined(machine, "pid", CLONE_NEWPID)


@contextlib.contextmanager
def _joined(pid: int, kind: str, flag: int) -> Iterator[None]:
    with open(f"/proc/thread-self/ns/{kind}") as before:
        with open(f"/proc/{pid}/ns/{kind}") as there:
            _setns(there.fileno(), flag)
        try:
            yield
        finally:
            _setns(before.fileno(), flag)


def _setns(namespace: int, flag: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, flag):
        raise OSError(ctypes.get_errno(), "setns")

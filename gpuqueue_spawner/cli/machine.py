"""What a supervisor asks of Linux: that its children die with it, and which processes are left of what it started.

Knows processes, no programs. Who starts and ends them: supervisor.py.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, suppress

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MARK = "GPUQUEUE_JOB"  #: every process of a job carries it, see gpuqueue_spawner.capacity
_libc = ctypes.CDLL(None, use_errno=True)


def dies_with(parent: int) -> Callable[[], None]:
    """A function for a new child to call before it becomes its program: it is killed when `parent` is."""

    def before_exec() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return before_exec


def adopt_orphans() -> None:
    """Become the parent of every orphan among our descendants, so that none escapes by losing its own."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury(*, but: Collection[int]) -> None:
    """Take the exit status of adopted children that have ended; of `but` somebody else does."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.pid not in but and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def leftovers(instance: str, *, but: Collection[int] = ()) -> list[psutil.Process]:
    """What is left of the jobs of one installation: processes with its mark, and what we adopted.

    :param but: our own programs; what they started is theirs.
    """
    found = {process.pid: process for process in marked(instance)}
    for child in psutil.Process().children():
        if child.pid not in but:
            with suppress(psutil.NoSuchProcess):
                found.update((each.pid, each) for each in (child, *child.children(recursive=True)) if _lives(each))
    return list(found.values())


def marked(instance: str) -> Iterator[psutil.Process]:
    """The living processes with the mark of one installation."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if instance and process.environ().get(MARK, "").startswith(f"{instance}/") and _lives(process):
                yield process


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def send(processes: Collection[psutil.Process], number: signal.Signals) -> None:
    """Signal each that is still the process it was; a pid alone may have passed to another."""
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def port_is_free(port: int) -> bool:
    """Whether a server can listen on this port of the loopback address."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses right now, each different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def who_listens(port: int) -> str:
    """Who uses a port, in words; empty when it cannot be told."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("inet"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f"pid {connection.pid}, {psutil.Process(connection.pid).name()}" if connection.pid else ""
    return ""

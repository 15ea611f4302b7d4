"""Reads of /proc, and signals that cannot reach a process which took over a pid.

Knows Linux, and no jobs. Which process is whose: processes.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .base import Process

PROC = "/proc"
ENVIRON_LIMIT = 4 << 20  # bytes read of one environment; the kernel's own limit for a string is 128 KiB, for all 6 MiB


@dataclass(frozen=True, slots=True)  # by position: a thousand are made in each pass
class Stat:
    """What one read of /proc/PID/stat tells."""

    pid: int
    command: str
    state: str  #: one letter, see proc(5)
    parent: int
    session: int
    threads: int
    started: int  #: clock ticks from boot
    image: tuple[str, ...]  #: addresses that every exec changes; zeros when the process may not be looked into

    @property
    def alive(self) -> bool:
        """Whether anything of it still runs. A zombie with threads is a program whose first thread has ended."""
        return self.state not in "ZX" or self.threads > 1

    @property
    def stopped(self) -> bool:
        """Whether a signal or a debugger holds it."""
        return self.state in "Tt"

    @property
    def at_rest(self) -> bool:
        """Whether it does nothing, forks under way included."""
        return self.state in "TtZX"


def read(path: str, limit: int = 1 << 16) -> bytes:
    """All of a small file.

    :raises OSError: as opening and reading do; ProcessLookupError when a process ended meanwhile.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks, size = [], 0
        while size < limit and (chunk := os.read(descriptor, 1 << 16)):
            chunks.append(chunk)
            size += len(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def parse_stat(line: str) -> Stat:
    """Take apart one line of /proc/PID/stat; the command may hold spaces and brackets, so it ends at the last one."""
    head, _, tail = line.rpartition(")")
    pid, _, command = head.partition(" (")
    fields = tail.split()
    return Stat(
        int(pid),
        command,
        fields[0],
        int(fields[1]),
        int(fields[3]),
        int(fields[17]),
        int(fields[19]),
        # start of code, of stack and of environment: with address randomisation no exec repeats all of them, not even
        # one of the same program. The command tells where randomisation is off.
        (command, fields[23], fields[25], fields[47]),
    )


def stat(pid: int) -> Stat | None:
    """The process as it is, None when there is none."""
    try:
        return parse_stat(read(f"{PROC}/{pid}/stat").decode(errors="replace"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last: /proc is mounted with hidepid
        return None


def pids() -> list[int]:
    """Every process that there is, zombies too."""
    return [int(name) for name in os.listdir(PROC) if name.isdecimal()]


def children(pid: int) -> list[int]:
    """The pids of its children; none where the kernel does not tell them (CONFIG_PROC_CHILDREN)."""
    try:
        tasks = os.listdir(f"{PROC}/{pid}/task")
        return [int(child) for task in tasks for child in read(f"{PROC}/{pid}/task/{task}/children").split()]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def at_rest(pid: int) -> bool:
    """Whether every thread of the process is stopped or has ended; true of a process that is gone."""
    try:
        threads = os.listdir(f"{PROC}/{pid}/task")
        return all(
            parse_stat(read(f"{PROC}/{pid}/task/{one}/stat").decode(errors="replace")).at_rest for one in threads
        )
    except (FileNotFoundError, ProcessLookupError):  # a thread ended meanwhile: look again, unless it was the last
        return not os.path.exists(f"{PROC}/{pid}")


def environ(process: Stat) -> bytes | None:
    """The environment that its program was started with, or what the program made of it since; None when it ended.

    :raises PermissionError: it belongs to somebody else.
    """
    try:
        if process.state == "Z":  # an ended first thread has no memory to read from, the others have
            others = [one for one in os.listdir(f"{PROC}/{process.pid}/task") if int(one) != process.pid]
            return read(f"{PROC}/{process.pid}/task/{others[0]}/environ", ENVIRON_LIMIT) if others else None
        found = read(f"{PROC}/{process.pid}/environ", ENVIRON_LIMIT)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if found:
        return found
    now = stat(process.pid)  # without one, or without memory: what ends gives up its memory first
    return found if now is not None and now.state not in "ZX" else None


def describe(process: Stat) -> Process:
    """The record of one process, with a name fit to be shown: anybody may call a program anything."""
    command = "".join(letter if letter.isprintable() else "?" for letter in process.command)
    return Process(pid=process.pid, started=process.started, uid=_uid(process.pid), command=command)


def _uid(pid: int) -> int:
    """Real user of the process, -1 when there is none."""
    try:
        for line in read(f"{PROC}/{pid}/status").splitlines():
            if line.startswith(b"Uid:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return -1


def capable(number: int) -> bool:
    """Whether this process has the capability, see capabilities(7)."""
    for line in read(f"{PROC}/self/status").splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def cgroups(pid: int) -> tuple[str, ...]:
    """Its cgroup in each hierarchy, as paths from the hierarchy's root; empty when it is gone."""
    try:
        lines = read(f"{PROC}/{pid}/cgroup").decode(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(line.split(":", 2)[2] for line in lines)


@contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    """A handle that goes on naming the same process; None where the kernel has none (before Linux 5.3)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        descriptor = -1
    try:
        yield descriptor if descriptor >= 0 else None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def send(pid: int, started: int, signum: signal.Signals) -> bool:
    """Signal the process that has this pid and this start time; returns whether there was one.

    :raises PermissionError: it belongs to somebody else.
    """
    try:
        with _handle(pid) as handle:
            now = stat(pid)  # read after the handle was taken: what it tells is true of what the handle names
            if now is None or now.started != started:
                return False
            if handle is None:
                os.kill(pid, signum)
            else:
                signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return False
    return True

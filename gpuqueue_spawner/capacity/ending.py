"""Ends every process of a job: asks, waits, then stops them all before it kills them all.

Knows signals and the process table. Which process is whose: processes.py.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Collection

from . import procfs
from .base import CapacityUnavailable, Process
from .processes import ProcessTable

log = logging.getLogger("gpuqueue")

LOOK_AGAIN_S = 0.5  # while waiting: children born after the request to end get it too
KILL_S = 10.0  # a killed process is gone in milliseconds; one that is not hangs in a driver, and waiting does not help
REST_S = 1.0  # for a stopped program to come to rest; one that waits for a disk does not, and forks no more either
NAP_S = 0.01
MOST = 10_000  # descendants stopped between two looks; whoever starts more is found by the next


def end(table: ProcessTable, key: str, *, grace: float) -> bool:
    """End every process of the job; returns whether none is left.

    :raises CapacityUnavailable: processes cannot be read.
    """
    try:
        asked = _ask(table, key, until=time.monotonic() + grace)
        return asked or _kill(table, key, until=time.monotonic() + KILL_S)
    except OSError as error:  # no file descriptor left, say
        raise CapacityUnavailable(f"The processes of job {key} cannot be read: {error}.") from error


def _living(table: ProcessTable, key: str) -> tuple[Process, ...]:
    return table.census().jobs.get(key, ())


def _ask(table: ProcessTable, key: str, *, until: float) -> bool:
    """SIGTERM to each once, and wait. A stopped one is let go on after, or it would never see the signal."""
    asked: set[tuple[int, int]] = set()
    while living := _living(table, key):
        for process in living:
            if (process.pid, process.started) not in asked and _send(process, signal.SIGTERM):
                asked.add((process.pid, process.started))
            if _stopped(process):
                _send(process, signal.SIGCONT)
        if not _wait(living, _gone, until=min(until, time.monotonic() + LOOK_AGAIN_S)) and time.monotonic() >= until:
            return False
    return True


def _kill(table: ProcessTable, key: str, *, until: float) -> bool:
    """SIGKILL to all, again until nothing is found.

    All are stopped first: killed one by one, a program that forks fast is never caught, and each parent killed takes
    along the knowledge whose its children are.
    """
    while _living(table, key):
        table.cgroups.kill(key)
        living = _freeze(table, key, until=until)
        for process in living:
            _send(process, signal.SIGKILL)
        _wait(living, _gone, until=min(until, time.monotonic() + LOOK_AGAIN_S))
        if time.monotonic() >= until:
            break
    left = _living(table, key)
    if left:
        log.error("job %s: %s processes do not end, the first is pid %s", key, len(left), left[0].pid)
    return not left


def _freeze(table: ProcessTable, key: str, *, until: float) -> tuple[Process, ...]:
    """Stop all processes of the job, until a look finds none that is new; returns them.

    Before the last look each has really stopped: one that was within a fork when the signal came ends the fork first.
    """
    stopped: set[Process] = set()
    while fresh := set(living := _living(table, key)) - stopped:
        for process in fresh:
            _stop(process)
        stopped |= fresh
        _wait(fresh, _at_rest, until=min(until, time.monotonic() + REST_S))
        if time.monotonic() >= until:
            break
    return living


def _stop(process: Process) -> None:
    """Stop a process, and its children at once: a program that goes from fork to fork is faster than a look."""
    generations = [(process.pid, process.started)]
    for pid, started in generations:
        if pid == os.getpid() or not _send_to(pid, started, signal.SIGSTOP) or len(generations) > MOST:
            continue
        for child in procfs.children(pid):
            found = procfs.stat(child)
            if found is not None and found.parent == pid and not found.stopped:
                generations.append((child, found.started))


def _wait(processes: Collection[Process], done: Callable[[Process], bool], *, until: float) -> bool:
    """Wait until it is true of all of them; returns whether it came to that."""
    while not all(done(process) for process in processes):
        if time.monotonic() >= until:
            return False
        time.sleep(NAP_S)
    return True


def _gone(process: Process) -> bool:
    now = procfs.stat(process.pid)
    return now is None or now.started != process.started or not now.alive


def _at_rest(process: Process) -> bool:
    return _gone(process) or procfs.at_rest(process.pid)


def _stopped(process: Process) -> bool:
    now = procfs.stat(process.pid)
    return now is not None and now.started == process.started and now.stopped


def _send(process: Process, signum: signal.Signals) -> bool:
    return _send_to(process.pid, process.started, signum)


def _send_to(pid: int, started: int, signum: signal.Signals) -> bool:
    try:
        return procfs.send(pid, started, signum)
    except PermissionError:  # a program that changed its user: who is not root cannot end it
        log.warning("may not send %s to pid %s", signum.name, pid)
        return True

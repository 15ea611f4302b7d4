"""Ends every process of a job: asks, waits, then stops them all before it kills them all.

Knows signals and the process table. Which process is whose: processes.py.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Collection

from . import procfs
from .base import Process
from .processes import ProcessTable

log = logging.getLogger("gpuqueue")

LOOK_AGAIN_S = 0.5  # while waiting: children born after the request to end get it too
KILL_S = 10.0  # a killed process is gone in milliseconds; one that is not hangs in a driver, and waiting does not help
NAP_S = 0.02


def end(table: ProcessTable, key: str, *, grace: float) -> bool:
    """End every process of the job; returns whether none is left.

    :raises CapacityUnavailable: processes cannot be read.
    """
    if not _ask(table, key, until=time.monotonic() + grace):
        return _kill(table, key, until=time.monotonic() + KILL_S)
    return True


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
        if not _wait(living, until=min(until, time.monotonic() + LOOK_AGAIN_S)) and time.monotonic() >= until:
            return False
    return True


def _kill(table: ProcessTable, key: str, *, until: float) -> bool:
    """SIGKILL to all, again until nothing is found.

    All are stopped first, as what is stopped does not fork: killed one by one, a program that forks fast is never
    caught, and each parent killed takes along the knowledge whose its children are.
    """
    while living := _living(table, key):
        table.cgroups.kill(key)
        stopped: set[tuple[int, int]] = set()
        while fresh := [one for one in living if (one.pid, one.started) not in stopped]:
            for process in fresh:
                _send(process, signal.SIGSTOP)
                stopped.add((process.pid, process.started))
            if time.monotonic() >= until:
                break
            living = _living(table, key)
        for process in living:
            _send(process, signal.SIGKILL)
        _wait(living, until=min(until, time.monotonic() + LOOK_AGAIN_S))
        if time.monotonic() >= until:
            break
    left = _living(table, key)
    if left:
        log.error("job %s: %s processes do not end, the first is pid %s", key, len(left), left[0].pid)
    return not left


def _wait(processes: Collection[Process], *, until: float) -> bool:
    """Wait for all of them to end; returns whether they did."""
    while any(_alive(process) for process in processes):
        if time.monotonic() >= until:
            return False
        time.sleep(NAP_S)
    return True


def _alive(process: Process) -> bool:
    now = procfs.stat(process.pid)
    return now is not None and now.started == process.started and now.alive


def _stopped(process: Process) -> bool:
    now = procfs.stat(process.pid)
    return now is not None and now.started == process.started and now.stopped


def _send(process: Process, signum: signal.Signals) -> bool:
    try:
        return procfs.send(process.pid, process.started, signum)
    except PermissionError:  # a program that changed its user; not root cannot end it
        log.warning("may not send %s to pid %s (%s)", signum.name, process.pid, process.command)
        return True

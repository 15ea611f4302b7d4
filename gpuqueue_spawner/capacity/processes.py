"""Which living process belongs to which job, remembered from look to look.

A process belongs to a job by, in this order: the cgroup it is in; what was known of it before, by pid and start time;
its parent; the leader of its session; the mark in its environment. The mark comes last, as anybody can write one: what
a job starts stays with that job. What is known stays for the life of the process, so a child that cleared its
environment, or whose parents ended, is still known if it was seen once before.

Known weaknesses. Without cgroups, a process that clears its environment, starts a session of its own and loses its
parent, all between two looks, is not found, nor is one that another service starts for its user (cron, systemd --user,
a container engine). If it uses a GPU, that GPU shows as used by a stranger, and is not given out. And whoever may start
programs on this machine outside the queue can mark them as a job's, at the price that they end with it.

Knows /proc and cgroups. How they are ended: ending.py.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from . import procfs
from .base import CapacityUnavailable, Mark, Process
from .cgroups import CGroups
from .procfs import Stat

log = logging.getLogger("gpuqueue")

JOB = "GPUQUEUE_JOB"  #: <instance>/<job key>/<launch number>
GPUS = "GPUQUEUE_GPUS"  #: device ids, separated by commas
LOOK_S = 10.0  # a walk takes some 30 ms for 1000 processes; one that takes longer than this hangs in the kernel
_REST = re.compile(r"([A-Za-z0-9_-]{1,64})/([0-9]{1,9})", re.ASCII)

LISTINGS = 50  # bounds a look on a machine where programs start and end all the time; one or two do elsewhere
SYS_PTRACE = 19  # number of the capability that looking into other users' processes takes

Identity = tuple[int, int]  # pid, start time


@dataclass(frozen=True, kw_only=True)
class Sign:
    """The mark in one environment."""

    key: str
    mark: Mark


def parse_sign(environ: bytes, instance: str) -> Sign | None:
    """Read this installation's mark from an environment; None where there is none, or another installation's."""
    values: dict[bytes, bytes] = {}
    for entry in environ.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and name in (JOB.encode(), GPUS.encode()):
            values.setdefault(name, value)  # of two, getenv finds the first
    owner, _, rest = values.get(JOB.encode(), b"").decode(errors="replace").partition("/")
    found = _REST.fullmatch(rest)
    if found is None or owner != instance:
        return None
    devices = values.get(GPUS.encode(), b"").decode(errors="replace").split(",")
    return Sign(key=found[1], mark=Mark(launch=int(found[2]), devices=tuple(filter(None, devices))))


@dataclass(frozen=True, kw_only=True)
class Census:
    """What one look found."""

    jobs: Mapping[str, tuple[Process, ...]]  #: living processes by job key, oldest first
    marked: Mapping[str, Mark]  #: of jobs that have a living process
    given: Mapping[str, tuple[str, ...]]  #: GPUs by job key: as given out, else as marked
    owners: Mapping[int, str]  #: job key by pid
    stats: Mapping[int, Stat]  #: every process of the machine


@dataclass(kw_only=True)
class Memory:
    """What is kept between looks. Only ProcessTable writes it, under its lock."""

    known: dict[Identity, str] = field(default_factory=dict)  #: job key of each process once seen as a job's
    sessions: dict[int, tuple[str, int]] = field(default_factory=dict)  #: job key and leader's start time by session
    signs: dict[int, tuple[int, tuple[str, ...], Sign | None]] = field(default_factory=dict)  #: by pid: start, image
    marks: dict[str, Mark] = field(default_factory=dict)  #: by job key, from environments
    given: dict[str, tuple[str, ...]] = field(default_factory=dict)  #: GPUs by job key, from who gave them out
    alive: frozenset[str] = frozenset()  #: jobs that had a living process at the last look


class ProcessTable:
    """The processes of one installation's jobs. Safe to use from several threads."""

    def __init__(self, instance: str, cgroups: CGroups) -> None:
        self.instance = instance
        self.cgroups = cgroups
        self._memory = Memory()
        self._lock = threading.Lock()
        if os.geteuid() == 0 and not procfs.capable(SYS_PTRACE):
            log.warning("root without CAP_SYS_PTRACE: the processes of jobs cannot be told by their environment")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=LOOK_S):
            raise CapacityUnavailable("The processes of this server cannot be read: the system does not answer.")
        try:
            yield
        except OSError as error:  # no file descriptor left, say: what was not read must not look like gone
            raise CapacityUnavailable(f"The processes of this server cannot be read: {error}.") from error
        finally:
            self._lock.release()

    def census(self) -> Census:
        """Walk over all processes once; twice when a job seems to have lost its last.

        :raises CapacityUnavailable: /proc cannot be read.
        """
        with self._alone():
            census = self._walk()
            if self._memory.alive - census.jobs.keys():
                census = self._walk()
            memory = self._memory
            memory.alive = frozenset(census.jobs)
            memory.marks = {key: mark for key, mark in memory.marks.items() if key in memory.alive}
            memory.given = {key: given for key, given in memory.given.items() if key in memory.alive}
            return census

    def adopt(self, key: str, pid: int, started: int, launch: int | None, devices: Collection[str]) -> bool:
        """Remember a process as one of the job and move it into the job's cgroup; False when it is not what it says.

        :raises CapacityUnavailable: /proc cannot be read.
        """
        with self._alone():
            process = procfs.stat(pid)
            if process is None or process.started != started or not process.alive or pid == os.getpid():
                return False
            if launch is not None:
                sign = self._sign(process) if self._learn(process) else None
                if sign is None or (sign.key, sign.mark.launch) != (key, launch):
                    return False
            memory = self._memory
            memory.known[pid, started] = key
            memory.alive |= {key}
            if devices:
                memory.given[key] = tuple(devices)
            if not self.cgroups.contains(key, pid):
                self.cgroups.join(key, pid)
            return True

    def _walk(self) -> Census:
        stats = self._settled()
        stats.pop(os.getpid(), None)  # whatever environment the manager was started from, it is nobody's job
        # Cgroups after the walk: a pid that changed hands in between gets the old start time, which names nobody.
        inside = self._inside(stats)
        owners = self._owners(stats, inside)
        memory = self._memory
        memory.known = {(pid, stats[pid].started): key for pid, key in owners.items()}
        memory.sessions = self._sessions(stats, owners)
        memory.signs = {pid: kept for pid, kept in memory.signs.items() if pid in stats}
        return self._counted(stats, owners)

    def _settled(self) -> dict[int, Stat]:
        """Read every process, and its mark.

        A walk takes time. Who ended between being listed and being read may have left a child that was not listed yet:
        so list again, until all that is new could be read. Else a program that goes from fork to fork slips through.
        """
        stats: dict[int, Stat] = {}
        for _ in range(LISTINGS):
            settled = True
            for pid in procfs.pids():
                if pid in stats:
                    continue
                process = procfs.stat(pid)
                if process is not None:
                    stats[pid] = process
                if process is None or not process.alive or not self._learn(process):
                    settled = False
            if settled:
                break
        return stats

    def _inside(self, stats: dict[int, Stat]) -> dict[int, str]:
        """What is in our cgroups; adds to `stats` what was born since they were read."""
        inside = {}
        for pid, key in self.cgroups.members().items():
            if pid in stats:
                inside[pid] = key
            elif (late := procfs.stat(pid)) is not None and self.cgroups.contains(key, pid) and pid != os.getpid():
                stats[pid] = late
                inside[pid] = key
        return inside

    def _owners(self, stats: Mapping[int, Stat], inside: Mapping[int, str]) -> dict[int, str]:
        """The job of each process that has one. The oldest first: parents and leaders of sessions before the others."""
        memory, owners = self._memory, dict[int, str]()
        family = sorted(stats.values(), key=lambda one: (one.started, one.pid))
        # Backwards as well: where pids wrapped around, a child of the same clock tick comes before its parent.
        for process in (*family, *reversed(family)):
            if process.pid in owners:
                continue
            sign = self._sign(process)
            key = (
                inside.get(process.pid)
                or memory.known.get((process.pid, process.started))
                or owners.get(process.parent)
                or self._by_session(process, stats, owners)
                or (sign.key if sign is not None else None)
            )
            if key is not None:
                owners[process.pid] = key
        return owners

    def _by_session(self, process: Stat, stats: Mapping[int, Stat], owners: Mapping[int, str]) -> str | None:
        """The job of the leader of its session, also of one that has ended.

        The kernel gives the number of a session to no other process while the session has members.
        """
        leader = stats.get(process.session)
        if leader is not None and leader.pid in owners:
            return owners[leader.pid]
        key, started = self._memory.sessions.get(process.session, (None, 0))
        return key if leader is None or leader.started == started else None

    def _sessions(self, stats: Mapping[int, Stat], owners: Mapping[int, str]) -> dict[int, tuple[str, int]]:
        """The sessions to remember: those that have members, and whose leader is or was a job's."""
        sessions = {}
        for number in {process.session for process in stats.values()}:
            leader, remembered = stats.get(number), self._memory.sessions.get(number)
            if leader is not None and number in owners:
                sessions[number] = (owners[number], leader.started)
            elif leader is None and remembered is not None:
                sessions[number] = remembered
        return sessions

    def _learn(self, process: Stat) -> bool:
        """Read the mark of one process, once for each program that it executes; False when it ended meanwhile."""
        kept = self._memory.signs.get(process.pid)
        if kept is not None and kept[:2] == (process.started, process.image):
            return True
        try:
            environ = procfs.environ(process)
        except PermissionError:
            environ = b""  # somebody else's; where the manager is not root, that is nobody's job
        if environ is not None:
            sign = parse_sign(environ, self.instance)
            self._memory.signs[process.pid] = (process.started, process.image, sign)
        return environ is not None

    def _sign(self, process: Stat) -> Sign | None:
        """The mark of a process as it was read."""
        started, _, sign = self._memory.signs.get(process.pid, (0, (), None))
        return sign if started == process.started else None

    def _counted(self, stats: Mapping[int, Stat], owners: Mapping[int, str]) -> Census:
        jobs: dict[str, list[Process]] = {}
        for pid, key in owners.items():
            if not stats[pid].alive:
                continue
            jobs.setdefault(key, []).append(procfs.describe(stats[pid]))
            sign = self._sign(stats[pid])
            if sign is not None and sign.key == key:
                self._remember(key, sign.mark)
        marked = {key: mark for key, mark in self._memory.marks.items() if key in jobs}
        return Census(
            jobs={key: tuple(found) for key, found in jobs.items()},
            marked=marked,
            given={key: mark.devices for key, mark in marked.items()} | self._memory.given,
            owners=owners,
            stats=stats,
        )

    def _remember(self, key: str, mark: Mark) -> None:
        known = self._memory.marks.get(key)
        if known is None or mark.launch > known.launch:
            self._memory.marks[key] = mark

"""Which living process belongs to which job, remembered from look to look.

A process belongs to a job by, in this order: the cgroup it is in; what was known of it before, by pid and start time;
the mark in its environment; its parent; the leader of its session. What is known stays for the life of the process, so
a child that cleared its environment, or whose parents ended, is still known if it was seen once before.

Known weakness: without cgroups, a process that clears its environment, starts a session of its own and loses its
parent, all between two looks, is not found. If it uses a GPU, that GPU shows as used by a stranger, and is not given
out.

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
    owners: Mapping[int, str]  #: job key by pid
    stats: Mapping[int, Stat]  #: every process of the machine


@dataclass(kw_only=True)
class Memory:
    """What is kept between looks. Only ProcessTable writes it, under its lock."""

    known: dict[Identity, str] = field(default_factory=dict)  #: job key of each process once seen as a job's
    sessions: dict[int, tuple[str, int]] = field(default_factory=dict)  #: job key and leader's start time by session
    signs: dict[int, tuple[int, tuple[str, ...], Sign | None]] = field(default_factory=dict)  #: by pid: start, image
    marks: dict[str, Mark] = field(default_factory=dict)  #: by job key


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
        finally:
            self._lock.release()

    def census(self) -> Census:
        """Walk over all processes once; twice when a job seems to have lost its last.

        A walk is not one moment: a process that forks and ends at once can slip through one.

        :raises CapacityUnavailable: /proc cannot be read.
        """
        with self._alone():
            before = set(self._memory.known.values())
            try:
                census = self._walk()
                if before - census.jobs.keys():
                    census = self._walk()
            except OSError as error:
                raise CapacityUnavailable(f"The processes of this server cannot be read: {error}.") from error
            for key in self._memory.marks.keys() - census.jobs.keys():
                del self._memory.marks[key]
            return census

    def adopt(self, key: str, pid: int, started: int, launch: int | None, devices: Collection[str]) -> bool:
        """Remember a process as one of the job and move it into the job's cgroup; False when it is not what it says."""
        with self._alone():
            process = procfs.stat(pid)
            if process is None or process.started != started or not process.alive or pid == os.getpid():
                return False
            if launch is not None:
                sign = self._sign(process)
                if sign is None or (sign.key, sign.mark.launch) != (key, launch):
                    return False
            if devices:
                self._memory.marks[key] = Mark(launch=launch or 0, devices=tuple(devices))
            self._memory.known[pid, started] = key
            if not self.cgroups.contains(key, pid):
                self.cgroups.join(key, pid)
            return True

    def forget(self, key: str) -> None:
        """Drop what is remembered of a job that has no process left."""
        with self._alone():
            self._memory.marks.pop(key, None)

    def _walk(self) -> Census:
        stats = procfs.stats()
        stats.pop(os.getpid(), None)  # whatever environment the manager was started from, it is nobody's job
        # Cgroups after the walk: a pid that changed hands in between gets the old start time, which names nobody.
        inside = self._inside(stats)
        owners = self._owners(stats, inside)
        memory = self._memory
        memory.known = {(pid, stats[pid].started): key for pid, key in owners.items()}
        memory.sessions = self._sessions(stats, owners)
        memory.signs = {pid: kept for pid, kept in memory.signs.items() if pid in stats}
        return self._found(stats, owners)

    def _inside(self, stats: dict[int, Stat]) -> dict[int, str]:
        """What is in our cgroups; adds to `stats` what was born since they were read."""
        inside = {}
        for pid, key in self.cgroups.members().items():
            if pid in stats:
                inside[pid] = key
            elif (late := procfs.stat(pid)) is not None and self.cgroups.contains(key, pid):
                stats[pid] = late
                inside[pid] = key
        return inside

    def _owners(self, stats: Mapping[int, Stat], inside: Mapping[int, str]) -> dict[int, str]:
        owners = {}
        for pid, process in stats.items():
            key = inside.get(pid) or self._memory.known.get((pid, process.started))
            sign = self._sign(process)
            if key is None and sign is not None:
                key = sign.key
            if key is not None:
                owners[pid] = key
        while grown := self._heirs(stats, owners):
            owners.update(grown)
        return owners

    def _heirs(self, stats: Mapping[int, Stat], owners: Mapping[int, str]) -> dict[int, str]:
        """One generation of children and session members that nothing else names."""
        sessions = self._sessions(stats, owners)
        heirs = {}
        for pid, process in stats.items():
            if pid in owners:
                continue
            key = owners.get(process.parent)
            if key is None and process.session in sessions:
                key = sessions[process.session][0]
            if key is not None:
                heirs[pid] = key
        return heirs

    def _sessions(self, stats: Mapping[int, Stat], owners: Mapping[int, str]) -> dict[int, tuple[str, int]]:
        """Sessions whose leader is or was a job's: the kernel gives no session's number away while it has members."""
        sessions = {}
        for number in {process.session for process in stats.values()}:
            leader = stats.get(number)
            remembered = self._memory.sessions.get(number)
            if leader is not None and number in owners:
                sessions[number] = (owners[number], leader.started)
            elif remembered is not None and (leader is None or leader.started == remembered[1]):
                sessions[number] = remembered
        return sessions

    def _sign(self, process: Stat) -> Sign | None:
        """The mark of one process, read once for each program that it executes."""
        kept = self._memory.signs.get(process.pid)
        if kept is not None and kept[:2] == (process.started, process.image):
            return kept[2]
        try:
            sign = parse_sign(procfs.environ(process), self.instance)
        except OSError:
            sign = None  # somebody else's; not root: never one of ours
        self._memory.signs[process.pid] = (process.started, process.image, sign)
        return sign

    def _found(self, stats: Mapping[int, Stat], owners: Mapping[int, str]) -> Census:
        jobs: dict[str, list[Process]] = {}
        for pid, key in owners.items():
            process = stats[pid]
            if not process.alive:
                continue
            one = Process(pid=pid, started=process.started, uid=procfs.uid(pid), command=process.command)
            jobs.setdefault(key, []).append(one)
            kept = self._memory.signs.get(pid)
            if kept is not None and kept[2] is not None and kept[2].key == key:
                self._remember(key, kept[2].mark)
        return Census(
            jobs={key: tuple(sorted(found, key=lambda one: (one.started, one.pid))) for key, found in jobs.items()},
            marked={key: mark for key, mark in self._memory.marks.items() if key in jobs},
            owners=owners,
            stats=stats,
        )

    def _remember(self, key: str, mark: Mark) -> None:
        known = self._memory.marks.get(key)
        if known is None or mark.launch > known.launch:
            self._memory.marks[key] = mark

"""What the manager asks of any place where jobs run, and the records that it gets back.

Knows records and the seams. This machine: local.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from traitlets import TraitError, Unicode, validate
from traitlets.config import Configurable

from ..model import Fate, Job, Node, Resources


class CapacityUnavailable(Exception):
    """What exists or runs cannot be read now, in words for people. Admit nobody, take nothing for gone."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, kw_only=True)
class Process:
    """One living process. Pid and start time together name it: a pid alone is given out again."""

    pid: int
    started: int  #: clock ticks from boot to its start, field 22 of /proc/PID/stat
    uid: int  #: its real user
    command: str  #: short name, at most 15 characters
    lost: ClassVar[bool] = False

    def serves(self, job: Job) -> bool:
        """Whether it is the job's server: a kernel that outlived it is not."""
        return job.pid is None or (self.pid, self.started) == (job.pid, job.pid_started)


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod of a job that has not ended, or may not have."""

    name: str
    namespace: str
    node: str  #: where it is bound to; empty: nowhere yet
    launch: int  #: number of the launch that made it
    resources: Resources  #: what it takes of its node
    leaving: bool = False  #: somebody has asked the cluster for its end
    lost: bool = False  #: the cluster has given it up with its node; it may run there still, cut off

    def serves(self, job: Job) -> bool:
        """Whether it is the job's server: one of an earlier launch is not."""
        return self.launch == job.launch


Trace = Process | Pod


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What the environment of a job's processes says about it."""

    launch: int  #: number of its launch, the latest where there are several
    devices: tuple[str, ...] = ()  #: ids of the GPUs that it was given, as its environment names them


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What was there at one moment. A job that is not in `jobs` has no process or pod left."""

    nodes: tuple[Node, ...] = ()
    jobs: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)  #: by job key, also of jobs nobody asked for
    marked: Mapping[str, Mark] = field(default_factory=dict)  #: by job key: what a restored database may not know
    away: frozenset[str] = frozenset()  #: names of nodes that nobody hears from any more
    #: By job key and launch: what became of pods. Kept for a while after they are gone.
    fates: Mapping[tuple[str, int], Fate] = field(default_factory=dict)


class Capacity(Configurable):
    """Where jobs run: what is there, which processes belong to which job, and how to end them.

    Every method blocks and may be called from several threads at once; the caller sets time limits and may leave a
    thread behind that has not come back.

    Ways to change it, in the order of rising effort:

    1. set traits of `LocalCapacity`;
    2. override `LocalCapacity.read_gpus`, for GPUs of another vendor;
    3. override `look`, `adopt` and `end`, for another place than this machine, `prepare`, `release` and
       `prepared` where a job needs a place of its own before it starts, and `booted`.
    """

    #: Whether `end` ends what is left of a job. Otherwise the Hub's spawner does, and `end` only tells.
    ends = True
    #: Whether what runs can be taken away by others than its owner. Then what is gone and left no word, was.
    takes_away = False
    #: Called, from any thread, when a look would show something new; the manager sets it.
    changed: Callable[[], object] = staticmethod(lambda: None)

    instance = Unicode(
        help="""
        Random id of this installation; set by the manager, which keeps it, and never by hand.

        Processes and cgroups carry it, so that two installations on one machine leave each other's jobs alone.

        .. versionadded:: 0.1
        """,
    )

    @validate("instance")
    def _check_instance(self, proposal: Any) -> Any:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", proposal["value"]):
            raise TraitError(
                f"{type(self).__name__}.instance is {proposal['value']!r}; allowed are 1 to 64 letters, digits, - and _"
            )
        return proposal["value"]

    def _require_instance(self) -> None:
        """For the constructor of a place that is shared: without it, it would take what others started for its own."""
        if not self.instance:
            words = "is not set: the manager gives the id of this installation"
            raise TraitError(f"{type(self).__name__}.instance {words}")

    def look(self) -> Observation:
        """Look at everything once. The manager calls it every few seconds and when a job may have ended.

        :raises CapacityUnavailable: something of it could not be read.
        """
        raise NotImplementedError

    def adopt(
        self, key: str, *, pid: int, started: int, launch: int | None = None, devices: Collection[str] = ()
    ) -> bool:
        """Take a process for one of the job, if it lives; the manager calls it for each claim, and for every claim that
        its database holds after a restart.

        :param launch: refuse a process whose environment does not carry the mark of this launch. Give it for a new
            claim: otherwise a claim could name anybody's process.
        :param devices: the GPUs that the job holds, for a job whose environment no longer tells.
        """
        raise NotImplementedError

    def end(self, key: str, *, grace: float) -> bool:
        """End every process of the job: ask, wait `grace` seconds, then kill. Returns whether none is left."""
        raise NotImplementedError

    def prepare(self, key: str) -> tuple[str, ...]:
        """Make what the job's processes are to be kept together by; the manager calls it before each launch.

        Returns the files that a process writes its pid into to join; none where the system has nothing of the kind.
        """
        return ()

    def release(self, key: str) -> None:
        """Remove what `prepare` made and forget the job; the manager calls it when no process is left."""

    def prepared(self) -> tuple[str, ...]:
        """The keys that `prepare` made something for, also before a restart; the manager releases ended ones."""
        return ()

    def booted(self) -> float:
        """Unix seconds: what ran before this moment ended with the machine; 0 where there is no such moment."""
        return 0.0

    def gone(self, key: str) -> bool:
        """Whether nothing of the job is left, asked right before its GPUs are given to the next one.

        A place whose `look` is a moment old asks anew.

        :raises CapacityUnavailable: that cannot be told.
        """
        return True

    def cordon(self, drained: Collection[str]) -> None:
        """Keep everybody off these nodes, and let them back on those that it kept them off before.

        The manager calls it every few seconds with all nodes that admins have drained, for a place that has other
        users than the queue's.

        :raises CapacityUnavailable: that could not be done, or is not allowed.
        """

    def environment(self, devices: tuple[str, ...]) -> dict[str, str]:
        """What the processes of a job are told about the GPUs that it was given."""
        names = ",".join(devices)
        return {"GPUQUEUE_GPUS": names, "CUDA_VISIBLE_DEVICES": names, "NVIDIA_VISIBLE_DEVICES": names}

    def about(self) -> str:
        """One sentence for people on what it gives out and from where; it waits for the driver."""
        return ""

    def caution(self) -> str:
        """What admins must know of how users are kept apart; empty: nothing. The admin page and the log show it."""
        return ""

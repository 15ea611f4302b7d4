"""This machine as one node: its CPUs, memory and GPUs, and the processes of its jobs.

Knows the machine. GPUs: nvml.py and simulated.py; whose process is whose: processes.py; how they end: ending.py.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Collection
from typing import Any

import psutil
from jupyterhub.traitlets import ByteSpecification
from traitlets import Float, Integer, List, TraitError, Unicode, default, validate

from ..model import Device, Node, Resources
from . import ending, procfs, simulated
from .base import Capacity, CapacityUnavailable, Observation, Process
from .cgroups import CGroups, usable
from .devices import Gpu, judge
from .nvml import NvmlReader
from .processes import Census, ProcessTable

log = logging.getLogger("gpuqueue")

MEMORY_SHARE = 0.9  # of the machine; the rest is for the system, the Hub and the manager, which no job may push out


class LocalCapacity(Capacity):
    """This machine as one node.

    To give out GPUs of another vendor, override `read_gpus`; `look` calls it in a thread, once or twice a look.
    """

    simulated_gpus = Integer(
        None,
        allow_none=True,
        min=0,
        max=1024,
        config=True,
        help="""
        Number of GPUs to pretend to have; unset: the GPUs that the NVIDIA driver of this machine reports.

        Set it to try the queue on a machine without GPUs. Simulated ones are held and freed like real ones, and no
        program can use them.

        .. versionadded:: 0.1
        """,
    )

    gpu_model = Unicode(
        "Simulated GPU",
        config=True,
        help="""
        Name that simulated GPUs are shown under; real ones tell their own.

        .. versionadded:: 0.1
        """,
    )

    cpus = Float(
        config=True,
        help="""
        CPU cores to give out to jobs; by default all that the manager may use.

        All, because a busy core is shared and nothing breaks. Lower it where other services on this machine need cores
        of their own.

        .. versionadded:: 0.1
        """,
    )

    memory = ByteSpecification(
        config=True,
        help="""
        Memory to give out to jobs, in bytes or with a suffix K, M, G or T; by default 90 % of this machine's.

        Not all, because memory that is used up ends programs, and the Hub and the queue run here too. Lower it where
        other services need more than the rest.

        .. versionadded:: 0.1
        """,
    )

    node_name = Unicode(
        config=True,
        help="""
        Name that this machine is shown under; by default its host name.

        Keep it: running jobs are recorded under it, and the ids of simulated GPUs are made from it.

        .. versionadded:: 0.1
        """,
    )

    display_programs = List(
        Unicode(),
        ["Xorg", "Xwayland", "gnome-shell", "kwin_x11", "kwin_wayland", "plasmashell"],
        config=True,
        help="""
        Names of programs that may draw on a GPU while a job has it; any other program outside the queue makes its GPU
        one that is not given out.

        Add the programs of the desktop on a machine with a screen. One that computes on a GPU never counts as such.

        .. versionadded:: 0.1
        """,
    )

    @default("cpus")
    def _default_cpus(self) -> float:
        return float(len(os.sched_getaffinity(0)))

    @default("memory")
    def _default_memory(self) -> int:
        return int(psutil.virtual_memory().total * MEMORY_SHARE)

    @default("node_name")
    def _default_node_name(self) -> str:
        return socket.gethostname()

    @validate("cpus")
    def _check_cpus(self, proposal: Any) -> Any:
        return _refuse(proposal, 0 < proposal["value"] < math.inf, "a number of cores above 0")

    @validate("memory")
    def _check_memory(self, proposal: Any) -> Any:
        return _refuse(proposal, proposal["value"] > 0, "a number of bytes above 0")

    @validate("node_name")
    def _check_node_name(self, proposal: Any) -> Any:
        return _refuse(proposal, bool(proposal["value"].strip()), "a name")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._require_instance()
        self._nvml = NvmlReader()
        self._table = ProcessTable(self.instance, CGroups(self.instance, usable()))

    def read_gpus(self) -> tuple[Gpu, ...]:
        """Every GPU and the pids that use it.

        :raises CapacityUnavailable: the driver cannot tell.
        """
        if self.simulated_gpus is not None:
            return simulated.gpus(node=self.node_name, count=self.simulated_gpus, model=self.gpu_model)
        return self._nvml.read()

    def look(self) -> Observation:
        """Look at GPUs, then at processes: what uses a GPU was there before, so the look finds it."""
        gpus = self.read_gpus()
        census = self._table.census()
        if any(
            pid not in census.stats for gpu in gpus for pid in (*gpu.pids, *gpu.drawing)
        ):  # one that ended in between, most likely
            gpus = self.read_gpus()
            census = self._table.census()
        devices = tuple(self._judged(gpu, census) for gpu in gpus)
        fit = [gpu.device for gpu in gpus if not gpu.unfit]
        return Observation(nodes=(self._node(devices, fit),), jobs=census.jobs, marked=census.marked)

    def _judged(self, gpu: Gpu, census: Census) -> Device:
        def describe(pid: int) -> Process | None:
            """Look it up in this very look."""
            return procfs.describe(census.stats[pid]) if pid in census.stats else None

        return judge(gpu, owners=census.owners, given=census.given, displays=self.display_programs, describe=describe)

    def _node(self, devices: tuple[Device, ...], fit: Collection[Device]) -> Node:
        counts: dict[str, int] = {}
        for device in fit:
            counts[device.resource] = counts.get(device.resource, 0) + 1
        return Node(
            name=self.node_name,
            allocatable=Resources(cpus=self.cpus, memory=self.memory, gpus=counts),
            devices=devices,
        )

    def adopt(
        self, key: str, *, pid: int, started: int, launch: int | None = None, devices: Collection[str] = ()
    ) -> bool:
        """Take a process for one of the job, see the base class; it moves into the job's cgroup where there is one."""
        return self._table.adopt(key, pid, started, launch, devices)

    def end(self, key: str, *, grace: float) -> bool:
        """SIGTERM to every process of the job, and SIGKILL after `grace` seconds; returns whether none is left.

        Returns at most some ten seconds after `grace`; a process that hangs in a driver outlives even SIGKILL.

        :raises CapacityUnavailable: the processes cannot be read.
        """
        return ending.end(self._table, key, grace=grace)

    def prepare(self, key: str) -> tuple[str, ...]:
        """Make the job's cgroup; none where the manager is not root or the system has none."""
        return self._table.cgroups.prepare(key)

    def release(self, key: str) -> None:
        """Remove the job's cgroup once it is empty."""
        if not self._table.cgroups.release(key):
            log.warning("job %s: its cgroup is not empty and stays", key)

    def prepared(self) -> tuple[str, ...]:
        """The keys of all jobs that have a cgroup."""
        return self._table.cgroups.keys()

    def booted(self) -> float:
        """As the clock has it now: where that was set since, it is off by as much."""
        return float(psutil.boot_time())

    def about(self) -> str:
        """Say which GPUs are given out and why, or why that cannot be told."""
        try:
            gpus = self.read_gpus()
        except CapacityUnavailable as error:
            return error.words
        if self.simulated_gpus is not None:
            return f"{len(gpus)} simulated GPUs"
        if not self._nvml.installed:
            return "no GPUs: no NVIDIA driver is installed"
        models = sorted({gpu.device.model for gpu in gpus})
        return f"{len(gpus)} GPUs ({', '.join(models) or 'none'})"

    def caution(self) -> str:
        """Not as root, nobody can be given a user of their own."""
        if os.geteuid() == 0:
            return ""
        return f"All notebooks run as one user, {os.geteuid()}: people are not protected from each other."


def _refuse(proposal: Any, fine: bool, allowed: str) -> Any:
    if not fine:
        raise TraitError(f"LocalCapacity.{proposal['trait'].name} is {proposal['value']!r}; allowed is {allowed}")
    return proposal["value"]

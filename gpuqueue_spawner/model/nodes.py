"""Where jobs run: nodes, their devices, and the placement of one job.

Knows records. Which nodes exist: capacity/. Which one a job gets: scheduling/placement.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .constraints import Taint
from .resources import NVIDIA_GPU, Resources


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU of a node."""

    id: str  #: stable name that a driver understands, an NVML UUID; in a cluster, where the kubelet picks, a number
    index: int  #: the number people know it by on its node
    resource: str = NVIDIA_GPU  #: the resource name it is counted under
    model: str = ""  #: e.g. "NVIDIA H100 80GB HBM3", empty where unknown
    numbered: bool = True  #: whether its index means it; in a cluster GPUs are only counted, and the kubelet picks
    foreign: str = ""  #: who outside the queue uses it, in words for people; empty: nobody, it may be given out


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine: what it can give out, before the queue's own jobs are subtracted."""

    name: str
    allocatable: Resources  #: all that jobs may use, devices in foreign use included
    used: Resources = field(default_factory=Resources)  #: what others than the queue's jobs take of it
    broken: Resources = field(
        default_factory=Resources
    )  #: GPUs of it that do not work, where only their number is known
    devices: tuple[Device, ...] = field(default=())  #: every GPU, by index
    drained: bool = False  #: keeps its jobs, takes no new one
    note: str = ""  #: why it is drained, an admin's words; or that it is tainted
    labels: Mapping[str, str] = field(default_factory=dict)  #: of a cluster's node
    taints: tuple[Taint, ...] = ()  #: each keeps out who does not tolerate it


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one job runs and the devices it holds there."""

    node: str
    devices: tuple[str, ...] = ()  #: Device.id, sorted by the device's index

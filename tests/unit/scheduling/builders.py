"""Nodes, jobs and snapshots that show only what matters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gpuqueue_spawner.model import Device, Job, Node, Placement, Resources, State
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.scheduling import Limits, Plan, Snapshot, plan

NOW = 1_000_000.0
GB = 2**30


def node(
    name: str, *, gpus: int = 0, foreign: Iterable[int] = (), cpus: float = 64, memory: int = 512, **fields: Any
) -> Node:
    """A server; `foreign`: indexes of GPUs used from outside the queue; `memory`: GB."""
    outside = set(foreign)
    devices = tuple(
        device(name, index, foreign="somebody uses it" if index in outside else "") for index in range(gpus)
    )
    allocatable = Resources(cpus=cpus, memory=memory * GB, gpus={NVIDIA_GPU: gpus})
    return Node(name=name, **{"allocatable": allocatable, "devices": devices, **fields})


def device(name: str, index: int, **fields: Any) -> Device:
    """A GPU; its id says where it is."""
    return Device(id=f"{name}/{index}", index=index, **fields)


def job(
    id: int,
    *,
    gpus: int = 0,
    cpus: float = 1,
    memory: int = 1,
    user: str = "",
    kinds: dict[str, int] | None = None,
    **fields: Any,
) -> Job:
    """A waiting job of a user of its own, that came in the order of the ids; `memory`: GB."""
    values = {
        "user": user or f"user-{id}",
        "server": "",
        "request": f"r{id}",
        "resources": Resources(cpus=cpus, memory=memory * GB, gpus={NVIDIA_GPU: gpus} if kinds is None else kinds),
        "lease": 3600.0,
        "id": id,
        "key": f"k{id}",
        "state": State.QUEUED,
        "version": 1,
        "submitted": float(id),
        "queued": float(id),
    }
    return Job(**{**values, **fields})


def running(id: int, *, on: str, indexes: Iterable[int] = (), hours: float = 1, **fields: Any) -> Job:
    """A job that runs on the GPUs with these indexes of a node, for so long from NOW."""
    devices = tuple(f"{on}/{index}" for index in indexes)
    fixed = {"state": State.RUNNING, "ends": NOW + hours * 3600, "placement": Placement(node=on, devices=devices)}
    return job(id, gpus=len(devices), **{**fixed, **fields})


def snapshot(nodes: Iterable[Node], jobs: Iterable[Job], **fields: Any) -> Snapshot:
    """A snapshot without limits, unless some are given."""
    return Snapshot(nodes=tuple(nodes), jobs=tuple(jobs), **{"limits": Limits(), **fields})


def plan_of(nodes: Iterable[Node], jobs: Iterable[Job], **fields: Any) -> Plan:
    """The plan at NOW."""
    return plan(snapshot(nodes, jobs, **fields), now=NOW)


def admitted(result: Plan) -> dict[int, str]:
    """Job and server, of those that start."""
    return {admission.job: admission.placement.node for admission in result.admissions}


def hours(result: Plan) -> dict[int, float | None]:
    """Job and hours until its estimated start, of those that stay."""
    return {id: None if wait.start is None else (wait.start - NOW) / 3600 for id, wait in result.waits.items()}

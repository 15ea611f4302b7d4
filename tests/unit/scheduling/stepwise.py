"""The same rules once more, by brute force: everything is counted anew at each moment. Slow, short, and shares no code
with the planner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpuqueue_spawner.model import Job, Node, Placement, State
from gpuqueue_spawner.scheduling import Snapshot


@dataclass(frozen=True, kw_only=True)
class Held:
    """A job and what it holds until when."""

    job: Job
    placement: Placement
    end: float


def expected_end(job: Job, now: float) -> float:
    """The end of a job that holds its placement."""
    if job.state is State.STOPPING and job.end is not None:
        return now
    return now + job.lease if job.ends is None else max(job.ends, now)


def free(node: Node, held: list[Held]) -> tuple[float, int, dict[str, list[str]]]:
    """Cores, bytes and devices by kind."""
    here = [h for h in held if h.placement.node == node.name]
    taken = {id for h in here for id in h.placement.devices}
    devices: dict[str, list[str]] = {}
    for device in sorted(node.devices, key=lambda device: device.index):
        if not device.foreign and device.id not in taken:
            devices.setdefault(device.resource, []).append(device.id)
    cpus = node.allocatable.cpus - sum(h.job.resources.cpus for h in here)
    return cpus, node.allocatable.memory - sum(h.job.resources.memory for h in here), devices


def lets_in(node: Node, job: Job) -> bool:
    """Whether the node has the labels that the job asks for, and no taint that it minds."""
    tolerated = {toleration.key for toleration in job.constraints.tolerations}
    right = all(node.labels.get(key) == value for key, value in job.constraints.selector)
    return right and all(taint.key in tolerated for taint in node.taints)


def place(job: Job, nodes: tuple[Node, ...], held: list[Held]) -> Placement | None:
    """Best fit over all servers; those where a launch failed come last."""
    wish = job.resources
    found = []
    for node in nodes:
        cpus, memory, devices = free(node, held)
        enough = all(len(devices.get(kind, [])) >= n for kind, n in wish.gpus.items())
        if node.drained or not lets_in(node, job) or not enough or wish.cpus > cpus or wish.memory > memory:
            continue
        first = next(iter(wish.gpus), None)
        rank = (len(devices[first]),) if first else (bool(node.devices), cpus, memory)
        chosen = {id for kind, n in wish.gpus.items() for id in devices[kind][:n]}
        by_index = sorted(node.devices, key=lambda device: device.index)
        found.append(
            (
                node.name in job.failed_on,
                rank,
                node.name,
                tuple(device.id for device in by_index if device.id in chosen),
            )
        )
    if not found:
        return None
    _, _, name, ids = min(found)
    return Placement(node=name, devices=ids)


def possible(job: Job, snapshot: Snapshot) -> bool:
    """Whether it would fit on an empty server, and under its user's limit."""
    most = snapshot.limits.gpus
    if most is not None and job.resources.gpu_count > most:
        return False
    for node in snapshot.nodes:
        counts = {kind: sum(d.resource == kind for d in node.devices) for kind in job.resources.gpus}
        enough = all(counts[kind] >= n for kind, n in job.resources.gpus.items())
        if not lets_in(node, job):
            continue
        if enough and job.resources.cpus <= node.allocatable.cpus and job.resources.memory <= node.allocatable.memory:
            return True
    return False


def allowed(job: Job, snapshot: Snapshot, held: list[Held]) -> bool:
    """Whether the limits of its user let one more job start."""
    mine = [h.job for h in held if h.job.user == job.user]
    if snapshot.limits.running_jobs is not None and len(mine) >= snapshot.limits.running_jobs:
        return False
    gpus = job.resources.gpu_count
    most = snapshot.limits.gpus
    return not gpus or most is None or sum(j.resources.gpu_count for j in mine) + gpus <= most


def run(snapshot: Snapshot, *, now: float) -> Iterator[tuple[float, Job, Placement]]:
    """Every start, as it happens: moment, job, placement."""
    held = [Held(job=j, placement=j.placement, end=expected_end(j, now)) for j in snapshot.jobs if j.holding]
    waiting = sorted((j for j in snapshot.jobs if j.waiting), key=lambda j: (j.queued, j.id))
    at = now
    while True:
        for job in list(waiting):
            eligible = job.state is State.QUEUED and possible(job, snapshot) and job.not_before <= at
            if not eligible or not allowed(job, snapshot, held):
                continue
            placement = place(job, snapshot.nodes, held)
            if placement is None:
                break
            waiting.remove(job)
            held.append(Held(job=job, placement=placement, end=at + job.lease))
            yield at, job, placement
        moments = [h.end for h in held] + [job.not_before for job in waiting if job.not_before > at]
        if not moments:
            return
        at = min(moments)
        held = [h for h in held if h.end > at]

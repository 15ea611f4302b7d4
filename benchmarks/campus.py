"""A campus of a public trace as API objects: nodes and pods that no kubelet knows.

The trace shares GPUs; here a pod has whole ones. Each pod is bound where it fits best, in the order of the trace, and
runs; one that fits nowhere by then has ended. What GPUs are left are taken by fillers, so that who waits, waits.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .api import Api, Object

NAMESPACE = "bench-campus"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
CLIENTS = 6

T = TypeVar("T")


@dataclass(kw_only=True)
class Place:
    """A node, and what is left of it."""

    name: str
    cpus: int  #: thousandths
    memory: int  #: MiB
    gpus: int
    model: str

    def fits(self, pod: Guest) -> bool:
        """Whether it has room."""
        return pod.gpus <= self.gpus and pod.cpus <= self.cpus and pod.memory <= self.memory

    def take(self, pod: Guest) -> None:
        """Put it there."""
        self.cpus, self.memory, self.gpus = self.cpus - pod.cpus, self.memory - pod.memory, self.gpus - pod.gpus


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A pod of the trace."""

    name: str
    cpus: int  #: thousandths
    memory: int  #: MiB
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A pod, and where it is."""

    pod: Guest
    node: str
    runs: bool  #: else it has ended


@dataclass(frozen=True, kw_only=True)
class Campus:
    """All of it."""

    nodes: list[Object]
    bound: list[Bound]

    def pods_with(self, gpus: int) -> Iterator[Bound]:
        """Running pods of this size."""
        return (each for each in self.bound if each.runs and each.pod.gpus == gpus)


def campus(trace: Path) -> Campus:
    """Read the trace, and bind its pods."""
    places = [
        Place(
            name=row["sn"],
            cpus=int(row["cpu_milli"]),
            memory=int(row["memory_mib"]),
            gpus=int(row["gpu"]),
            model=row["model"],
        )
        for row in _rows(trace / "alibaba_gpu_2023_nodes.csv")
    ]
    nodes = [node_object(place) for place in places]
    guests = [
        Guest(name=row["name"], cpus=int(row["cpu_milli"]), memory=int(row["memory_mib"]), gpus=int(row["num_gpu"]))
        for row in _rows(trace / "alibaba_gpu_2023_pods.csv")
    ]
    bound = [_bind(places, guest) for guest in guests]
    fillers = [
        Bound(pod=Guest(name=f"filler-{place.name}", cpus=0, memory=0, gpus=place.gpus), node=place.name, runs=True)
        for place in places
        if place.gpus
    ]
    return Campus(nodes=nodes, bound=bound + fillers)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _bind(places: list[Place], pod: Guest) -> Bound:
    fitting = [place for place in places if place.fits(pod)]
    if not fitting:
        return Bound(pod=pod, node=places[0].name, runs=False)
    best = min(fitting, key=lambda place: (place.gpus, place.cpus, place.name))
    best.take(pod)
    return Bound(pod=pod, node=best.name, runs=True)


# ---- as objects ------------------------------------------------------------------------------------------------------


def node_object(place: Place) -> Object:
    """A node that is ready, as its kubelet would register it."""
    amounts = {"cpu": f"{place.cpus}m", "memory": f"{place.memory}Mi", "pods": "250"}
    if place.gpus:
        amounts["nvidia.com/gpu"] = str(place.gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": place.name, "labels": {"nvidia.com/gpu.product": place.model or "none"}},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def pod_object(pod: Guest, node: str, labels: dict[str, str] | None = None) -> Object:
    """A pod that is bound."""
    asked: dict[str, Any] = {"cpu": f"{pod.cpus}m", "memory": f"{pod.memory}Mi"}
    gpus = {"nvidia.com/gpu": str(pod.gpus)} if pod.gpus else {}
    container = {"name": "main", "image": "trace", "resources": {"requests": asked | gpus, "limits": gpus}}
    return {
        "metadata": {"name": pod.name, "labels": labels or {}},
        "spec": {"nodeName": node, "containers": [container]},
    }


def phase(name: str) -> Object:
    """What a kubelet says of a pod."""
    ready = {"type": "Ready", "status": "True" if name == "Running" else "False"}
    return {"status": {"phase": name, "conditions": [ready]}}


def make(campus: Campus, apis: list[Api]) -> None:
    """Make everything, with several clients at once, in a namespace that is there."""
    _side_by_side(apis, lambda api, node: api("POST", "/api/v1/nodes", node), campus.nodes)
    _side_by_side(apis, _make_pod, campus.bound)


def _make_pod(api: Api, bound: Bound) -> None:
    api("POST", PODS, pod_object(bound.pod, bound.node))
    api("PATCH", f"{PODS}/{bound.pod.name}/status", phase("Running" if bound.runs else "Succeeded"))


def _side_by_side(apis: list[Api], work: Callable[[Api, T], object], items: Sequence[T]) -> None:
    def share(number: int) -> None:
        for item in items[number :: len(apis)]:
            work(apis[number], item)

    with ThreadPoolExecutor(len(apis)) as pool:
        for _ in pool.map(share, range(len(apis))):
            pass

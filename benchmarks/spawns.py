"""From the request to a ready notebook where GPUs are free: with the queue, and with KubeSpawner as it comes.

Two sites in one cluster, with the same image, profile and Hub settings, take turns.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import profile, queue_on
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .api import Watched
from .results import spread

STOCK = f"""
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.profile_list = {[profile(gpus) for gpus in (1, 2)]!r}
"""
READY_S = 120


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """One start, in seconds since the request."""

    made: float  #: until the pod was seen
    runs: float  #: until its container ran
    ready: float  #: until the Hub said that the notebook is ready


def measure(cluster: Cluster, watched: Watched, *, count: int = 20) -> dict[str, Any]:
    """Start `count` notebooks of each kind, one after the other, and one of each before."""
    with house(cluster, "bench-queue") as queue, house(cluster, "bench-stock", STOCK) as stock:
        people = {"queue": Visitor(queue, "ada").login(), "stock": Visitor(stock, "ada").login()}
        spawns: dict[str, list[Spawn]] = {name: [] for name in people}
        for number in range(count + 1):
            for name, person in people.items():
                spawn = once(person, watched, f"bench-{name}")
                if number:  # the first one makes the Hub's connection to the cluster
                    spawns[name].append(spawn)
    figures: dict[str, Any] = {name: _figures(each) for name, each in spawns.items()}
    added = figures["queue"]["ready"]["median_ms"] - figures["stock"]["ready"]["median_ms"]
    return figures | {"added_median_ms": round(added, 1), "goal_ms": 150}


@contextlib.contextmanager
def house(cluster: Cluster, namespace: str, hub_more: str = "", **more: Any) -> Iterator[Site]:
    """A site with a namespace of its own."""
    kubectl = make_namespace(cluster, namespace)
    with queue_on(cluster, kubectl, hub_more=hub_more, **more) as it:
        yield it
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def make_namespace(cluster: Cluster, name: str) -> Kubectl:
    """Make a namespace, and wait until pods can be made in it."""
    cluster.kubectl("create", "namespace", name)
    kubectl = cluster.kubectl.within(name)
    until(lambda: kubectl.find("serviceaccount", "default"), within=60, what=f"the namespace {name} is ready")
    return kubectl


def once(person: Visitor, watched: Watched, namespace: str) -> Spawn:
    """Start and stop one notebook."""
    begun = time.perf_counter()
    person.start("gpu1")
    said = next(event for event in person.progress(within=READY_S) if event.get("ready") or event.get("failed"))
    ready = time.perf_counter()
    assert said.get("ready"), said
    made = watched.first(
        lambda each: each.namespace == namespace and each.kind == "ADDED", after=begun, within=5, what="the pod is made"
    )
    runs = watched.first(
        lambda each: each.name == made.name and each.phase == "Running", after=begun, within=5, what="the pod runs"
    )
    stop(person, watched, made.name)
    return Spawn(made=made.at - begun, runs=runs.at - begun, ready=ready - begun)


def stop(person: Visitor, watched: Watched, pod: str) -> None:
    """Stop it, and see its pod gone."""
    begun = time.perf_counter()
    person.stop()
    gone = lambda each: each.name == pod and each.kind == "DELETED"  # noqa: E731
    watched.first(gone, after=begun, within=60, what="the pod is gone")
    until(lambda: not person.server(), within=60, what="the Hub knows it too")


def _figures(spawns: list[Spawn]) -> dict[str, Any]:
    return {
        "pod_made": spread([each.made for each in spawns]),
        "made_to_runs": spread([each.runs - each.made for each in spawns]),
        "runs_to_ready": spread([each.ready - each.runs for each in spawns]),
        "ready": spread([each.ready for each in spawns]),
    }

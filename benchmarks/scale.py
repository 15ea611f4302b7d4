"""The manager on a campus of 1,213 nodes and 8,152 pods, with 10,000 jobs in line.

Its time to know the cluster, its memory, from a pod's end to the next one's creation, and what pod events cost it. The
nodes are objects without kubelets; controllers and scheduler are stopped, which would call them lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import requests

from gpuqueue_spawner.spawner.pods import marks
from tests.services.kubernetes.cluster import Cluster
from tests.services.program import until
from tests.services.site import PREFIX, Site

from .api import Api, Watched, round_trip
from .campus import CLIENTS, NAMESPACE, PODS, Bound, Campus, Guest, campus, make, phase, pod_object
from .crowd import SIZES, Crowd
from .results import spread
from .spawns import house, make_namespace

WAITING = 10_000
TURNS = 10
EVENTS_A_SECOND, SECONDS = 50, 30
SYNC_S = 300


def measure(cluster: Cluster, trace: Path) -> dict[str, Any]:
    """Make the campus, then watch the manager."""
    apis = [Api(cluster) for _ in range(CLIENTS)]
    api = apis[0]
    everything = campus(trace)
    for node in cluster.nodes:
        cluster.kubectl("cordon", node)
    with house(cluster, "bench-scale", manager_more="c.Policy.queued_jobs = 0") as site:
        site.manager.stop()
        make_namespace(cluster, NAMESPACE)
        for name in ("controllers", "scheduler"):
            cluster.components[name].pause()
        begun = time.perf_counter()
        make(everything, apis)
        print(f"the campus is made, {time.perf_counter() - begun:.0f} s", flush=True)
        figures: dict[str, Any] = {"nodes": len(everything.nodes), "pods": len(everything.bound)}
        figures["without_jobs"] = _start(site) | {"memory": memory(site)}
        site.manager.stop()
        crowd = Crowd(site)
        crowd.join(WAITING, gpus=lambda number: 1 if number < 2 * TURNS else SIZES[number % len(SIZES)])
        print("the crowd is in line", flush=True)
        with crowd:
            crowd.stay()
            figures |= _start(site) | {"waiting": WAITING}
            _settle(site)
            figures["memory"] = memory(site)
            figures["idle_busy_percent"] = busy(site, lambda: time.sleep(10))
            watched = Watched(Api(cluster))
            figures["events"] = _events(site, api, everything)
            print(figures, flush=True)
            figures["turns"] = _turns(crowd, api, watched, everything)
            figures["memory_afterwards"] = memory(site)
        for name in ("controllers", "scheduler"):
            cluster.components[name].resume()
    return figures


def _start(site: Site) -> dict[str, Any]:
    """Start the manager; how long until it knows the cluster and admits."""
    begun = time.perf_counter()
    site.manager.start()

    def knows() -> bool:
        with suppress(requests.RequestException):
            return not requests.get(site.manager_url + PREFIX + "health", timeout=20).json()["problem"]
        return False

    until(knows, within=SYNC_S, what="the manager knows the cluster", story=site.story, every=0.05)
    return {"start_to_synced_s": round(time.perf_counter() - begun, 2)}


def _settle(site: Site) -> None:
    """Wait until it has made its first plans and told the crowd."""
    until(lambda: busy(site, lambda: time.sleep(3)) < 10, within=SYNC_S, what="it is calm", story=site.story, every=1)


def process(site: Site) -> psutil.Process:
    """The manager's."""
    assert site.manager.process
    return psutil.Process(site.manager.process.pid)


def memory(site: Site) -> dict[str, float]:
    """In units of a million bytes."""
    full = process(site).memory_full_info()
    return {"rss_mb": round(full.rss / 1e6, 1), "pss_mb": round(full.pss / 1e6, 1)}


def busy(site: Site, meanwhile: Callable[[], None]) -> float:
    """Per cent of one core that the manager was busy."""
    manager = process(site)
    begun, before = time.perf_counter(), sum(manager.cpu_times()[:2])
    meanwhile()
    return round(100 * (sum(manager.cpu_times()[:2]) - before) / (time.perf_counter() - begun), 1)


def _events(site: Site, api: Api, everything: Campus) -> dict[str, Any]:
    """Short lives of pods that ask for no GPU, evenly spread, four events each."""
    told = 0
    late = 0.0

    def lives() -> None:
        nonlocal told, late
        begun = time.perf_counter()
        while told < EVENTS_A_SECOND * SECONDS:
            pod = Guest(name=f"life-{told}", cpus=1, memory=1, gpus=0)
            node = everything.nodes[told % len(everything.nodes)]["metadata"]["name"]
            for step in _life(api, pod, node):
                step()
                told += 1
                ahead = begun + told / EVENTS_A_SECOND - time.perf_counter()
                late = max(late, -ahead)
                time.sleep(max(0.0, ahead))

    manager = process(site)
    begun, before = time.perf_counter(), sum(manager.cpu_times()[:2])
    share = busy(site, lives)
    seconds, used = time.perf_counter() - begun, sum(manager.cpu_times()[:2]) - before
    return {
        "events": told,
        "seconds": round(seconds, 1),
        "a_second": round(told / seconds, 1),
        "late_ms_at_most": round(1000 * late, 1),
        "busy_percent": share,
        "goal_busy_percent": 20,
        "cpu_ms_an_event": round(1000 * used / told, 2),
        "goal_ms_an_event": 5,
    }


def _life(api: Api, pod: Guest, node: str) -> tuple[Callable[[], object], ...]:
    path = f"{PODS}/{pod.name}"
    return (
        lambda: api("POST", PODS, pod_object(pod, node)),
        lambda: api("PATCH", f"{path}/status", phase("Pending")),
        lambda: api("PATCH", f"{path}/status", phase("Running")),
        lambda: api("DELETE", path, gracePeriodSeconds=0),
    )


def _turns(crowd: Crowd, api: Api, watched: Watched, everything: Campus) -> dict[str, Any]:
    """End pods with one GPU, one after the other, and launch whom that admits, as a spawner would."""
    admitted, made, trips = [], [], []
    for key, bound in zip(crowd.keys, islice(everything.pods_with(1), TURNS), strict=False):
        trips.append(round_trip(api, watched, NAMESPACE))
        gone = _end(api, watched, bound)
        at, job = crowd.admitted(key, within=60)
        admitted.append(at - gone)
        permit = crowd.permit(key)
        name = f"job-{job['id']}"
        labels = marks(permit["environment"]["GPUQUEUE_JOB"], job["id"])
        pod = Guest(name=name, cpus=50, memory=64, gpus=1)
        api("POST", PODS, pod_object(pod, permit["job"]["placement"]["node"], labels))
        made.append(_seen(watched, name, "ADDED", after=gone) - gone)
    return {"to_admission": spread(admitted), "to_next_pod": spread(made), "round_trip": spread(trips)}


def _end(api: Api, watched: Watched, bound: Bound) -> float:
    begun = time.perf_counter()
    api("DELETE", f"{PODS}/{bound.pod.name}", gracePeriodSeconds=0)
    return _seen(watched, bound.pod.name, "DELETED", after=begun)


def _seen(watched: Watched, name: str, kind: str, *, after: float) -> float:
    what = f"{name} is {kind.lower()}"
    return watched.first(lambda each: (each.name, each.kind) == (name, kind), after=after, within=10, what=what).at

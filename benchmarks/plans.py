"""What the manager thinks of, without a cluster around it: a look, the front of the line, a plan of all of it.

In processor time, which a busy machine changes little. Campus and line are those of scale.py, which measures all of it
together.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gpuqueue_spawner.capacity.kubernetes.cluster import Question, SeenPod, observation, seen_node, seen_pod, shelf
from gpuqueue_spawner.manager.strays import Question as RoomQuestion
from gpuqueue_spawner.manager.strays import room
from gpuqueue_spawner.model import Job, Node, Resources, State
from gpuqueue_spawner.model.kept import Kept
from gpuqueue_spawner.model.shelved import Shelved
from gpuqueue_spawner.scheduling import Front, Limits, Snapshot, plan
from gpuqueue_spawner.service.app import COLLECT

from .campus import Bound, campus, phase, pod_object
from .crowd import SIZES
from .results import spread

WAITING = 10_000
COUNT = 30
NOW = 1_000_000.0


def measure(trace: Path) -> dict[str, Any]:
    """Look, admit and plan again and again, as the manager does, with one pod of others changed each time."""
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT)
    try:
        return _measure(trace)
    finally:
        gc.set_threshold(*before)


def _measure(trace: Path) -> dict[str, Any]:
    everything = campus(trace)
    nodes = [seen_node(node) for node in everything.nodes]
    pods = Shelved[SeenPod](partial(shelf, instance=""))
    for bound in everything.bound:
        pods.put(bound.pod.name, _seen(bound))
    kept: Kept[Question, Node] = Kept()
    kept_rooms: Kept[RoomQuestion, Node] = Kept()
    front, line = Front(), in_line(WAITING)

    def look() -> tuple[Node, ...]:
        seen = observation(nodes, pods.shelves(), kept=kept)
        return room(seen, (), kept=kept_rooms)

    def ahead(there: tuple[Node, ...]) -> None:
        front.ahead(nodes=there, holding=(), line=iter(line), limits=Limits(), now=NOW)

    took: dict[str, list[float]] = {"look": [], "front": [], "plan": []}
    ahead(look())
    for number in range(COUNT):
        one = _seen(everything.bound[number])
        pods.put(one.name, replace(one, resources=one.resources + Resources(cpus=0.001)))
        there = timed(look, took["look"])
        timed(lambda there=there: ahead(there), took["front"])  # type: ignore[misc]
        snapshot = Snapshot(nodes=there, jobs=line)
        timed(lambda snapshot=snapshot: plan(snapshot, now=NOW), took["plan"])  # type: ignore[misc]
    return {"nodes": len(nodes), "pods": len(everything.bound), "waiting": WAITING} | {
        f"{name}_processor_time": spread(seconds) for name, seconds in took.items()
    }


def in_line(count: int) -> tuple[Job, ...]:
    """Jobs that wait, of as many users."""
    return tuple(
        Job(
            id=number,
            key=f"key-{number}",
            user=f"crowd{number:05}",
            server="",
            request=f"request-{number}",
            resources=Resources(cpus=0.05, memory=64_000_000, gpus={"nvidia.com/gpu": SIZES[number % len(SIZES)]}),
            lease=8 * 3600.0,
            state=State.QUEUED,
            version=1,
            submitted=float(number),
            queued=float(number),
        )
        for number in range(1, count + 1)
    )


def timed(work: Callable[[], Any], took: list[float]) -> Any:
    """Do it, and note how long a processor worked on it."""
    begun = time.process_time()
    done = work()
    took.append(time.process_time() - begun)
    return done


def _seen(bound: Bound) -> SeenPod:
    made = pod_object(bound.pod, bound.node)
    made["metadata"]["namespace"] = "campus"
    return seen_pod(made | phase("Running" if bound.runs else "Succeeded"))

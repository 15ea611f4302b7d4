"""From a pod that is seen gone to the next one's creation, with few and with many waiting behind.

Everybody asks for the eight GPUs of a node, so that each pod that goes makes room for one. Who gets a turn is a person
with a real spawner of the Hub; the many behind them are a crowd.py.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from tests.services.kubernetes.cluster import Cluster
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .api import Api, Watched, round_trip
from .crowd import Crowd
from .results import spread
from .spawns import house

NODES = 2
READY_S = 120
NAMESPACE = "bench-turns"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn, in seconds."""

    passed: float  #: from the pod that was seen gone to the next one
    round_trip: float  #: of the API server, just before


def measure(cluster: Cluster, api: Api, watched: Watched, *, waiting: int, count: int = 30) -> dict[str, Any]:
    """Take `count` turns with `waiting` in line."""
    crowded = waiting > count
    with house(cluster, NAMESPACE, manager_more="c.Policy.queued_jobs = 0") as site, contextlib.ExitStack() as stack:
        line = deque(
            Visitor(site, f"p{number:03}").login() for number in range(NODES + (count if crowded else waiting))
        )
        for person in line:
            person.start("gpu8")
            until(person.job, within=60, what=f"{person.name} is in line")  # the next one stands behind
        running = deque(line.popleft() for _ in range(NODES))
        for person in running:
            person.job_is("running", within=READY_S)
        if crowded:
            stack.enter_context(_crowd_behind(site, waiting - len(line)))
        turns = []
        for _ in range(count):
            leaver = running.popleft()
            turns.append(_turn(leaver, api, watched))
            follower = line.popleft()
            follower.job_is("running", within=READY_S)
            running.append(follower)
            if not crowded:
                leaver.no_job(within=60)
                leaver.start("gpu8")
                until(leaver.job, within=60, what=f"{leaver.name} is in line")
                line.append(leaver)
    passed, trips = [each.passed for each in turns], [each.round_trip for each in turns]
    return {
        "waiting": waiting,
        "passed": spread(passed),
        "round_trip": spread(trips),
        "beyond": spread([each.passed - each.round_trip for each in turns]),
        "goal_p99_beyond_ms": 100,
    }


def _crowd_behind(site: Site, size: int) -> Crowd:
    site.manager.stop()
    crowd = Crowd(site)
    crowd.join(size)
    site.manager.start()
    crowd.stay()
    site.wait()
    return crowd


def _turn(leaver: Visitor, api: Api, watched: Watched) -> Turn:
    trip = round_trip(api, watched, NAMESPACE)
    job = str((leaver.job() or {})["id"])
    begun = time.perf_counter()
    leaver.stop()
    gone = watched.first(lambda each: each.job == job and each.gone, after=begun, within=60, what="the pod is gone")
    made = watched.first(
        lambda each: bool(each.job) and each.kind == "ADDED" and each.namespace == NAMESPACE,
        after=begun,
        within=60,
        what="the next pod is made",
    )
    return Turn(passed=made.at - gone.at, round_trip=trip)

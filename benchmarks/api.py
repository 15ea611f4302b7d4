"""The API server as the benchmarks use it: plain requests, and a watch that notes when it was told what.

Both ends of every time span are seen on one watch of one process, so that the watch's own delay cancels out.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests

from tests.services.kubernetes.cluster import Cluster

Object = dict[str, Any]

NEWS = 1 << 16  # bytes taken off a watch at once, at most


class Api:
    """An admin's connection; one a thread."""

    def __init__(self, cluster: Cluster) -> None:
        assert cluster.authority, "the benchmarks bring up a cluster of their own"
        self._server = cluster.server
        self._session = requests.Session()
        self._session.trust_env = False  # a bundle that the machine trusts would count more than `verify`
        certificate, key = cluster.authority.issue("bench", "bench", group="system:masters")
        self._session.cert = (str(certificate), str(key))
        self._session.verify = str(cluster.authority.ca)

    def __call__(self, method: str, path: str, body: Object | None = None, **query: Any) -> Object:
        """Ask once; fails with the server's words."""
        merge = {"Content-Type": "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"}
        answer = self._session.request(
            method, self._server + path, json=body, params=query, headers=merge if body is not None else {}, timeout=60
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        found: Object = answer.json()
        return found

    def lines(self, path: str, **query: Any) -> requests.Response:
        """Begin to follow a watch."""
        return self._session.get(self._server + path, params={"watch": 1, **query}, stream=True, timeout=(5, None))


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One event of a watch."""

    at: float  #: seconds of the performance counter, when it was told
    kind: str  #: ADDED, MODIFIED, DELETED
    name: str
    namespace: str
    phase: str
    job: str  #: id of the queue's job; empty: none

    @property
    def gone(self) -> bool:
        """Whether what the pod had is free: its containers have ended, which its kubelet says before it goes."""
        return self.kind == "DELETED" or self.phase in ("Succeeded", "Failed")


class Watched:
    """Every event of pods since it began."""

    def __init__(self, api: Api) -> None:
        version = api("GET", "/api/v1/pods", limit=1)["metadata"]["resourceVersion"]
        self.seen: list[Sighting] = []
        self._news = threading.Condition()
        self._stream = api.lines("/api/v1/pods", resourceVersion=version)
        threading.Thread(target=self._follow, name="watch", daemon=True).start()

    def _follow(self) -> None:
        with suppress(requests.RequestException):  # it ends with its cluster
            self._read()

    def _read(self) -> None:
        for line in self._stream.iter_lines(chunk_size=NEWS):
            at = time.perf_counter()
            event = json.loads(line)
            meta = event["object"]["metadata"]
            sighting = Sighting(
                at=at,
                kind=event["type"],
                name=meta.get("name", ""),
                namespace=meta.get("namespace", ""),
                phase=(event["object"].get("status") or {}).get("phase", ""),
                job=(meta.get("labels") or {}).get("gpuqueue.jupyter.org/job", ""),
            )
            with self._news:
                self.seen.append(sighting)
                self._news.notify_all()

    def first(self, true: Callable[[Sighting], bool], *, after: float, within: float, what: str) -> Sighting:
        """Wait for the first event after a moment that is so."""
        end = time.perf_counter() + within
        with self._news:
            while True:
                for each in self.seen:
                    if each.at >= after and true(each):
                        return each
                left = end - time.perf_counter()
                assert left > 0, f"{what}: not within {within:g} s; last {self.seen[-5:]}"
                self._news.wait(left)


def round_trip(api: Api, watched: Watched, namespace: str) -> float:
    """Seconds from asking for a pod until the watch tells of it: a pod that nobody places."""
    name = f"probe-{time.time_ns()}"
    path = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"schedulerName": "nobody", "containers": [{"name": "main", "image": "nothing"}]}
    begun = time.perf_counter()
    api("POST", path, {"metadata": {"name": name}, "spec": spec})
    seen = watched.first(lambda each: each.name == name, after=begun, within=10, what="the probe is seen")
    api("DELETE", f"{path}/{name}", gracePeriodSeconds=0)
    return seen.at - begun

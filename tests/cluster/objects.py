"""Builders of Kubernetes objects, each shows only what matters to a test; and what is asked of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import KEYS
from tests.services.kubernetes.shares import Share
from tests.services.visitor import Visitor

FOREVER = ("sleep", "infinity")
LEAD = "The cluster took the server away from"  #: and then which, and why


def pod(
    name: str,
    image: str,
    *command: str,
    gpus: int = 0,
    node: str = "",
    share: Share | None = None,
    labels: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    ready_at: tuple[int, str] | None = None,
) -> Object:
    """A pod with one container, which sleeps unless told otherwise; `share` is mounted at /share."""
    container: Object = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command or FOREVER),
        "env": [{"name": name, "value": value} for name, value in (environment or {}).items()],
    }
    # Not 0: the API server forgets such a pod as it is deleted, and does not wait until its containers have ended.
    spec: Object = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    if ready_at:
        port, path = ready_at
        container["readinessProbe"] = {"httpGet": {"port": port, "path": path}, "periodSeconds": 1}
    if node:
        spec["affinity"] = on_node(node)
    if share:
        container["volumeMounts"] = [{"name": "share", "mountPath": "/share"}]
        spec["volumes"] = [{"name": "share", "nfs": {"server": share.server, "path": share.export}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def on_node(name: str) -> dict[str, Any]:
    """A required affinity to one node, which leaves the scheduler its say."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def ready(found: Object) -> bool:
    """Whether a pod is ready."""
    conditions: Sequence[Object] = found["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def pods_of(kubectl: Kubectl, job: int) -> list[tuple[str, str]]:
    """Name and node of a job's pods."""
    found = kubectl.all("pods", labels=f"{KEYS}job={job}")
    return [(each["metadata"]["name"], each["spec"].get("nodeName", "")) for each in found]


def gpus_of(cluster: Cluster, pod: str) -> tuple[str, int]:
    """Which node's kubelet gave how many devices to a pod."""
    given = [each for each in cluster.allocations() if each.pod == pod]
    return given[0].node, sum(len(each.ids) for each in given)


def evict(kubectl: Kubectl, name: str) -> None:
    """Ask for an eviction, as `kubectl drain` does of each pod; fails where a budget forbids it."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "-f", "-", text=json.dumps(body))


def taken(person: Visitor, job: dict[str, Any]) -> str:
    """What a job's story says of the one time that the cluster took its pod away."""
    events = person.queue("GET", f"jobs/{job['id']}/events").json()["events"]
    (note,) = [each["note"] for each in events if each["detail"].get("taken")]
    return str(note)

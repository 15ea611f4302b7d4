"""What a launched pod is made of and how it fares: its marks, its place, and the cluster's own words when it fails.

Pure. Knows Kubernetes' JSON and the attributes of the client's models. Who makes and watches it: kubernetes.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..model.constraints import HOST
from ..model.pods import INSTANCE, JOB, KEY, LAUNCH, SERVER, USER
from .tokens import secret_name

LONGEST_NAME = 63  #: of a pod, which is its host name too
#: What a container waits for when it will not start by waiting.
HOPELESS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
NOTEBOOK = "notebook"  #: KubeSpawner's name of the container


def launch_name(base: str, key: str, launch: int) -> str:
    """A name that no other launch has: the pod on a node that died keeps its own until it is seen gone."""
    tail = f"-{key[:8].lower()}-{launch}"
    return base[: LONGEST_NAME - len(tail)].rstrip("-.") + tail


def marks(mark: str, job: int) -> dict[str, str]:
    """Labels that say whose the pod is. `mark` is what the queue gives every launch: instance/key/launch."""
    instance, key, launch = mark.split("/")
    return {INSTANCE: instance, KEY: key, LAUNCH: launch, JOB: str(job)}


def notes(labels: Mapping[str, str], *, user: str, server: str) -> dict[str, str]:
    """Annotations that say the same, and whose it is: as people write it, which a label may not hold."""
    return {**labels, USER: user, SERVER: server}


def pinned(terms: Iterable[Mapping[str, Any]], node: str) -> list[dict[str, Any]]:
    """Node selector terms that are those given, and on this node: each of them is one of several ways to match.

    Pinned again, they stay as they are.
    """
    here = {"key": HOST, "operator": "In", "values": [node]}

    def fields(term: Mapping[str, Any]) -> list[Any]:
        given = term.get("matchFields") or ()
        return [*(each for each in given if each != here), here]

    return [{**term, "matchFields": fields(term)} for term in (list(terms) or [{}])]


def trouble(pod: Mapping[str, Any]) -> str:
    """Why a pod will not run, in the cluster's own words; empty: nothing says so."""
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        return _sentence(status.get("reason") or "Failed", status.get("message") or _ends(status))
    for each in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS and not _awaits_token(pod, waiting):
            return _sentence(waiting["reason"], waiting.get("message"))
    return ""


def unplaced(pod: Mapping[str, Any]) -> str:
    """Why the scheduler has not placed it yet, in its own words; empty: it has, or has not said."""
    for each in (pod.get("status") or {}).get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return _sentence(each.get("reason") or "", each.get("message"))
    return ""


def unready(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> str:
    """Why its node has not made a pod ready for its containers, volumes and network above all; empty: it has.

    :param events: of this pod, oldest first.
    """
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or ()}
    if conditions.get("PodScheduled") != "True" or conditions.get("PodReadyToStartContainers") != "False":
        return ""
    warnings = [each for each in events if each.get("type") == "Warning"]
    if warnings:
        why = _sentence(warnings[-1].get("reason") or "", warnings[-1].get("message"))
    else:
        why = f"it does not say why. Where it mounts {', '.join(_remote(spec)) or 'nothing'}, that may not answer"
    return f"{spec.get('nodeName')} could not make ready what the notebook needs: {why}"


def _remote(spec: Mapping[str, Any]) -> Iterator[str]:
    """Volumes that come over the network, as people know them."""
    for each in spec.get("volumes") or ():
        if "nfs" in each:
            yield f"{each['nfs'].get('server')}:{each['nfs'].get('path')}"
        elif "persistentVolumeClaim" in each:
            yield f"the claim {each['persistentVolumeClaim'].get('claimName')}"


def _awaits_token(pod: Mapping[str, Any], waiting: Mapping[str, Any]) -> bool:
    """Whether the kubelet was faster than the Hub, which makes the secret once there is a pod to own it."""
    name = secret_name((pod.get("metadata") or {}).get("name") or "")
    return f'"{name}" not found' in (waiting.get("message") or "")


def _ends(status: Mapping[str, Any]) -> str:
    for each in status.get("containerStatuses") or ():
        terminated = (each.get("state") or {}).get("terminated") or {}
        if terminated:
            return f"{terminated.get('reason') or 'ended'}, exit status {terminated.get('exitCode')}"
    return ""


def _sentence(reason: str, message: str | None) -> str:
    words = " ".join((message or "").split())
    return f"{reason}: {words}"[:500] if words else reason

"""What a cluster has and what runs there, from nodes and pods as the API server tells them.

Pure. Knows Kubernetes' JSON and its rules on who may be placed where. Who fetches it: reflector.py.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...model import Device, Fate, Node, Resources, Taint, pod_fate
from ...model.fates import ENDED
from ...model.kept import Kept
from ...model.pods import INSTANCE, KEY, LAUNCH, as_resources, pod_resources, understood, understood_spec
from ...model.resources import InvalidResources
from ..base import Observation, Pod

MODEL_LABEL = "nvidia.com/gpu.product"  #: set by NVIDIA's GPU feature discovery
CORDONED_BY = "gpuqueue.jupyter.org/cordoned-by"  #: annotation of a node: the installation that closed it
KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})
NOT_READY = "not ready"
NO_NETWORK = "without a network"
PRESSURES = {"MemoryPressure": "memory", "DiskPressure": "disk space", "PIDPressure": "process ids"}
#: The cluster's own taints that say the same as what is read off a node's conditions, in fewer words. What another of
#: them says, as out-of-service, stands nowhere else.
SAID = frozenset(
    f"node.kubernetes.io/{name}"
    for name in (
        "not-ready",
        "unreachable",
        "network-unavailable",
        "memory-pressure",
        "disk-pressure",
        "pid-pressure",
        "unschedulable",
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenNode:
    """What is kept of a node."""

    name: str
    allocatable: Resources  #: broken GPUs included
    broken: Resources = field(default_factory=Resources)  #: GPUs that it has and that do not work
    model: str = ""  #: of its GPUs
    closed: str = ""  #: why it takes nothing new, in words; empty: it does
    cordoned: bool = False
    cordoned_by: str = ""  #: the installation that did it; empty: somebody else
    away: bool = False  #: the cluster hears nothing of it any more; one that calls itself not ready is there
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()  #: those that keep pods out


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenPod:
    """What is kept of a pod: never its environment, where a user's token may stand."""

    name: str
    namespace: str
    node: str  #: empty: not bound yet
    ended: bool
    deleted: bool  #: somebody has asked for its end
    resources: Resources
    instance: str = ""  #: of the installation that made it; empty: somebody else's
    key: str = ""
    launch: int = 0
    nominated: str = ""  #: the node where the scheduler makes room for it, before it is bound
    fate: Fate | None = None  #: what becomes of one of a job; None: it lives, or is somebody else's


def seen_node(document: Mapping[str, Any]) -> SeenNode:
    """Read a node."""
    meta, spec, status = document["metadata"], document.get("spec") or {}, document.get("status") or {}
    works = _amounts(status.get("allocatable") or {})
    labels = {sys.intern(key): sys.intern(value) for key, value in (meta.get("labels") or {}).items()}
    broken = _broken(_amounts(status.get("capacity") or {}), works)
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    return SeenNode(
        name=meta["name"],
        allocatable=works + broken,
        broken=broken,
        model=labels.get(MODEL_LABEL, ""),
        closed=_closed(spec, {name: each.get("status") for name, each in conditions.items()}),
        away=_away(conditions.get("Ready") or {}),
        cordoned=bool(spec.get("unschedulable")),
        cordoned_by=(meta.get("annotations") or {}).get(CORDONED_BY, ""),
        labels=labels,
        taints=tuple(
            Taint(key=each["key"], value=each.get("value") or "", effect=each["effect"])
            for each in spec.get("taints") or ()
            if each.get("effect") in KEEPS_OUT and each["key"] not in SAID
        ),
    )


def seen_pod(document: Mapping[str, Any], *, gone: bool = False) -> SeenPod:
    """Read a pod.

    :param gone: it is not there any more, and this is the last that was said of it.
    """
    meta, status = document["metadata"], document.get("status") or {}
    spec = document.get("spec") or {}
    labels = meta.get("labels") or {}
    launch = labels.get(LAUNCH, "")
    return SeenPod(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        node=spec.get("nodeName") or "",
        ended=status.get("phase") in ENDED,
        deleted="deletionTimestamp" in meta,
        resources=_taken(spec),
        instance=labels.get(INSTANCE, ""),
        key=labels.get(KEY, ""),
        launch=int(launch) if launch.isdecimal() else 0,
        nominated=status.get("nominatedNodeName") or "",
        fate=pod_fate(document, gone=gone) if labels.get(KEY) else None,
    )


#: A node, the pods of others on it, and the keys of taints that keep no pod out.
Question = tuple[SeenNode, Sequence[SeenPod], frozenset[str]]

OURS, NOWHERE = "/ours", "/nowhere"  # shelves beside those of the nodes, none of which has such a name


def shelf(pod: SeenPod, *, instance: str) -> str:
    """Where a pod counts: what belongs to others, under its node; this installation's own apart.

    :param instance: of this installation; the pods of others are others'.
    """
    if pod.ended:
        return NOWHERE
    if pod.key and pod.instance == instance:
        return OURS
    return pod.node or pod.nominated or NOWHERE


def observation(
    nodes: Iterable[SeenNode],
    pods: Mapping[str, Sequence[SeenPod]],
    *,
    tolerated: Iterable[str] = (),
    fates: Mapping[tuple[str, int], Fate] | None = None,
    kept: Kept[Question, Node] | None = None,
) -> Observation:
    """What may be given out, and the pods of each job.

    :param pods: by their shelf.
    :param tolerated: keys of taints that keep no pod out.
    :param fates: what became of pods, by job key and launch.
    :param kept: of earlier ones: a node on which nothing changed is the same record again.
    """
    seen = [*nodes]
    well = {each.name for each in seen if each.closed != NOT_READY}
    ours: dict[str, list[Pod]] = {}
    for pod in pods.get(OURS, ()):
        ours.setdefault(pod.key, []).append(_of_job(pod, lost=lost(pod, well)))
    overlooked = frozenset(tolerated)
    questions = ((each.name, (each, pods.get(each.name, ()), overlooked)) for each in seen)
    return Observation(
        nodes=(kept or Kept()).answers(questions, _node),
        jobs={key: tuple(each) for key, each in ours.items()},
        away=frozenset(each.name for each in seen if each.away),
        fates=fates or {},
    )


class Sum:
    """Adds up what the pods of a node take: done often, and a record for each step is dear in a large cluster."""

    def __init__(self) -> None:
        self._cpus, self._memory = 0.0, 0
        self._gpus: dict[str, int] = {}
        self._others: dict[str, int] = {}

    def add(self, taken: Resources) -> None:
        """Count one more pod."""
        self._cpus += taken.cpus
        self._memory += taken.memory
        for name, count in taken.gpus.items():
            self._gpus[name] = self._gpus.get(name, 0) + count
        for name, count in taken.others.items():
            self._others[name] = self._others.get(name, 0) + count

    @property
    def resources(self) -> Resources:
        """All of them together."""
        return Resources(cpus=self._cpus, memory=self._memory, gpus=self._gpus, others=self._others)


def lost(pod: SeenPod, well: Collection[str]) -> bool:
    """Whether the cluster has given a pod up with its node: it waits for the node's word that the pod is gone.

    :param well: names of the nodes that answer.
    """
    return pod.deleted and bool(pod.node) and pod.node not in well


def _of_job(pod: SeenPod, *, lost: bool) -> Pod:
    return Pod(
        name=pod.name,
        namespace=pod.namespace,
        node=pod.node,
        launch=pod.launch,
        resources=pod.resources,
        leaving=pod.deleted,
        lost=lost,
    )


def _node(question: Question) -> Node:
    seen, pods, tolerated = question
    used = Sum()
    for pod in pods:
        used.add(pod.resources)
    taints = tuple(taint for taint in seen.taints if taint.key not in tolerated)
    tainted = f"tainted {', '.join(sorted({taint.key for taint in taints}))}" if taints else ""
    return Node(
        name=seen.name,
        allocatable=seen.allocatable,
        used=used.resources,
        broken=seen.broken,
        devices=_devices(tuple(seen.allocatable.gpus.items()), seen.model),
        drained=bool(seen.closed),
        note=seen.closed or tainted,
        labels=seen.labels,
        taints=taints,
    )


@functools.lru_cache(maxsize=256)  # a large cluster has few kinds of nodes
def _devices(gpus: tuple[tuple[str, int], ...], model: str) -> tuple[Device, ...]:
    """A number for each GPU: the books hold every one once; which one a pod gets, its kubelet decides."""
    names = [(resource, number) for resource, count in gpus for number in range(count)]
    return tuple(
        Device(id=f"{resource}/{number}", index=index, resource=resource, model=model, numbered=False)
        for index, (resource, number) in enumerate(names)
    )


def _closed(spec: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    if conditions.get("Ready") != "True":
        return NOT_READY
    if conditions.get("NetworkUnavailable") == "True":
        return NO_NETWORK
    short = [words for name, words in PRESSURES.items() if conditions.get(name) == "True"]
    if short:
        return f"short of {', '.join(short)}"
    return "cordoned" if spec.get("unschedulable") else ""


def _away(ready: Mapping[str, Any]) -> bool:
    """One that has never been heard of, as some clouds list them beforehand, has not been lost."""
    return ready.get("status") == "Unknown" and ready.get("reason") != "NodeStatusNeverUpdated"


def _broken(there: Resources, works: Resources) -> Resources:
    """What a kubelet counts and does not give out: GPUs that its device plugin calls unhealthy, or all without one."""
    return Resources(gpus={name: max(0, count - works.gpus.get(name, 0)) for name, count in there.gpus.items()})


def _amounts(amounts: Mapping[str, Any]) -> Resources:
    """What is not understood of one node must not blind the queue for all of them, nor for what else it has."""
    return as_resources(understood(amounts))


def _taken(spec: Mapping[str, Any]) -> Resources:
    try:
        return pod_resources(spec)
    except InvalidResources:  # the API server took it, so it has a way to read it
        return pod_resources(understood_spec(spec))

"""Checks of a cluster's nodes: that those with GPUs offer them, all of them, to notebooks. Judgements are pure.

Knows the labels of NVIDIA's GPU feature discovery and of node feature discovery. What a node means for the queue:
capacity/kubernetes/cluster.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...capacity.kubernetes.cluster import observation, seen_node
from ...model.pods import as_resources, is_gpu
from ...model.resources import InvalidResources
from .deployment import Deployment
from .findings import Check, Finding, NotChecked, Place, ok, problem, warning
from .machine import holes
from .versions import driver_hole, driver_of

Node = Mapping[str, Any]

#: any of them says that a machine has NVIDIA's hardware, whatever the cluster offers of it
HARDWARE = frozenset({"nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present"})
DISPLAY = "feature.node.kubernetes.io/pci-03"  #: with a class of display controllers, and the vendor behind it
SHOWN = 5  #: nodes named in a sentence


def name_of(node: Node) -> str:
    """Its name."""
    return str(node["metadata"]["name"])


def labels_of(node: Node) -> Mapping[str, str]:
    """Its labels."""
    return node["metadata"].get("labels") or {}


def gpus_of(node: Node, what: str) -> Mapping[str, int]:
    """GPUs by resource name; `what` is `capacity` or `allocatable`.

    :raises InvalidResources: it says what cannot be read.
    """
    amounts = (node.get("status") or {}).get(what) or {}
    return as_resources({name: amount for name, amount in amounts.items() if is_gpu(name)}).gpus


def has_hardware(labels: Mapping[str, str]) -> bool:
    """Whether labels say that a node has NVIDIA GPUs."""
    return any(
        value == "true" and (name in HARDWARE or (name.startswith(DISPLAY) and "_10de" in name))
        for name, value in labels.items()
    )


def offered(nodes: Sequence[Node]) -> Finding:
    """What the cluster has to give."""
    if not nodes:
        return problem("The cluster has no node.", "Join one.")
    counts = {name_of(node): sum(gpus_of(node, "allocatable").values()) for node in nodes}
    total = sum(counts.values())
    if not total:
        return problem(
            f"None of {len(nodes)} nodes offers a GPU.",
            "Install NVIDIA's device plugin, or the GPU operator, on the nodes with GPUs.",
        )
    having = sum(bool(count) for count in counts.values())
    return ok(f"{total} GPUs on {having} of {len(nodes)} nodes.")


def unreadable(nodes: Sequence[Node]) -> Finding:
    """Amounts that the queue takes for nothing."""
    wrong = []
    for node in nodes:
        try:
            as_resources((node.get("status") or {}).get("allocatable") or {})
        except InvalidResources as error:
            wrong.append(f"{name_of(node)} ({error})")
        else:
            if not (node.get("status") or {}).get("allocatable"):
                wrong.append(f"{name_of(node)} (says nothing)")
    if wrong:
        return warning(
            f"What these nodes have cannot be read, so nothing of them is given out: {_some(wrong)}.",
            "A node that has just joined says it within a minute; else look at its kubelet.",
        )
    return ok("Every node says what it has.")


def plugin(nodes: Sequence[Node]) -> Finding:
    """Hardware that is not offered."""
    silent = [
        name_of(node) for node in nodes if has_hardware(labels_of(node)) and not sum(gpus_of(node, "capacity").values())
    ]
    if silent:
        return problem(
            f"By their labels these nodes have NVIDIA GPUs, and offer none: {_some(silent)}.",
            "Look at the device plugin there: `kubectl get pods -A -o wide | grep device-plugin`, then its log. "
            "Often the driver or the container toolkit is missing on that node.",
        )
    return ok("No node has GPUs that it does not offer.")


def healthy(nodes: Sequence[Node]) -> Finding:
    """GPUs that the device plugin takes for broken."""
    sick = []
    for node in nodes:
        has, gives = gpus_of(node, "capacity"), gpus_of(node, "allocatable")
        sick += [
            f"{name_of(node)} ({count - gives.get(name, 0)} of {count} {name})"
            for name, count in has.items()
            if gives.get(name, 0) < count
        ]
    if sick:
        return warning(
            f"The device plugin takes GPUs for broken: {_some(sick)}.",
            "See `nvidia-smi` and the kernel's log (Xid) on that node; the GPUs come back once they are well.",
        )
    return ok("Every GPU that a node has can be given out.")


def open_nodes(nodes: Sequence[Node], *, tolerated: Iterable[str]) -> Finding:
    """Nodes with GPUs that the queue gives nothing of."""
    seen = observation(map(seen_node, nodes), {}, tolerated=tolerated).nodes
    # A taint that is named for what a node offers says only that nobody else belongs there.
    closed = [
        f"{node.name} ({node.note})"
        for node in seen
        if node.devices and (node.drained or any(taint.key not in node.allocatable.gpus for taint in node.taints))
    ]
    if not closed:
        return ok("Every node with GPUs takes notebooks.")
    told = f"These nodes with GPUs take nothing new, or only what tolerates their taint: {_some(closed)}."
    step = "`kubectl uncordon` it, see why it is not ready, or have the profiles that may use it tolerate its taint."
    return problem(told, step) if len(closed) == sum(bool(node.devices) for node in seen) else warning(told, step)


def drivers(nodes: Sequence[Node]) -> Finding:
    """Holes in drivers, by the labels that tell them."""
    found = {name_of(node): driver_of(labels_of(node)) for node in nodes if driver_of(labels_of(node))}
    if not found:
        raise NotChecked(
            "no label tells a driver: NVIDIA's GPU feature discovery sets nvidia.com/cuda.driver-version.full"
        )
    versions = {
        version: [name for name, its in found.items() if its == version] for version in sorted({*found.values()})
    }
    return holes(
        {f"the driver of {_some(names)}": driver_hole(version) for version, names in versions.items()},
        {f"driver of {_some(names)}:": version for version, names in versions.items()},
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join([*names[:SHOWN], *([f"{more} more"] if more > 0 else [])])


def _of_nodes(judge: Callable[[Sequence[Node]], Finding]) -> Callable[[Deployment], Finding]:
    return lambda it: judge(it.nodes)


def _open(it: Deployment) -> Finding:
    return open_nodes(it.nodes, tolerated=it.tolerated)


CHECKS = tuple(
    Check(name=name, asks=asks, look=look, place=Place.CLUSTER, needs=("cluster.answers", "cluster.rights"))
    for name, asks, look in (
        ("nodes.amounts", "Every node says what it has, in amounts that can be read.", _of_nodes(unreadable)),
        ("nodes.gpus", "Some node offers GPUs.", _of_nodes(offered)),
        ("nodes.plugin", "No node has GPUs by its labels and offers none.", _of_nodes(plugin)),
        ("nodes.health", "No node offers fewer GPUs than it has.", _of_nodes(healthy)),
        ("nodes.open", "Nodes with GPUs are ready, not cordoned, and without a taint that keeps notebooks out.", _open),
        ("nodes.driver", "No driver has a known hole, by the labels of GPU feature discovery.", _of_nodes(drivers)),
    )
)

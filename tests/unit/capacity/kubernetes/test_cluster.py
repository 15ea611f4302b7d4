"""What nodes and pods mean: what may be given out, and whose pod is whose."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from gpuqueue_spawner.capacity import Observation, Pod
from gpuqueue_spawner.capacity.kubernetes.cluster import SeenPod, observation, seen_node, seen_pod, shelf
from gpuqueue_spawner.model import Taint
from gpuqueue_spawner.model.pods import INSTANCE, KEY, LAUNCH
from gpuqueue_spawner.model.shelved import Shelved

GPU = "nvidia.com/gpu"
OURS = "0123456789abcdef"


def node(name: str = "dgx1", gpus: int = 8, **spec: Any) -> dict[str, Any]:
    conditions = spec.pop("conditions", {"Ready": "True"})
    return {
        "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": "NVIDIA-A100"}},
        "spec": spec,
        "status": {
            "capacity": {"cpu": "128", "memory": "1008Gi", "pods": "110", GPU: str(spec.pop("capacity", gpus))},
            "allocatable": {"cpu": "127500m", "memory": "1000Gi", "pods": "110", GPU: str(gpus)},
            "conditions": [{"type": kind, "status": status} for kind, status in conditions.items()],
        },
    }


def pod(
    name: str, gpus: int = 1, *, on: str = "dgx1", phase: str = "Running", key: str = "", **more: Any
) -> dict[str, Any]:
    labels = {INSTANCE: more.get("instance", OURS), KEY: key, LAUNCH: str(more.get("launch", 1))} if key else {}
    resources = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {GPU: str(gpus)}}
    return {
        "metadata": {"name": name, "namespace": "hub", "labels": labels},
        "spec": {"nodeName": on, "containers": [{"name": "c", "resources": resources}]},
        "status": {"phase": phase},
    }


def seen(nodes: list[dict[str, Any]], pods: list[dict[str, Any]], **more: Any) -> Observation:
    shelved = Shelved[SeenPod](partial(shelf, instance=OURS))
    for number, each in enumerate(pods):
        shelved.put(str(number), seen_pod(each))
    return observation(map(seen_node, nodes), shelved.shelves(), **more)


def test_what_others_ask_for_is_used_whether_or_not_it_is_a_notebook() -> None:
    """Whatever is bound and has not ended; ours are told apart by their labels."""
    pods = [pod("dns", 0), pod("train", 2), pod("mine", 4, key="k1"), pod("waits", 8, on="")]

    found = seen([node()], pods).nodes[0]

    assert (found.used.cpus, dict(found.used.gpus)) == (1.0, {GPU: 2})
    assert (found.allocatable.cpus, len(found.devices), found.devices[0].model) == (127.5, 8, "NVIDIA-A100")


def test_what_is_no_gpu_is_counted_and_is_no_device() -> None:
    """Network devices, virtual machines' devices by the thousand, and the pods that a node still takes."""
    large = node()
    large["status"]["allocatable"] |= {"rdma/ib": "8", "devices.kubevirt.io/kvm": "1k"}
    train = pod("train", 2)
    train["spec"]["containers"][0]["resources"]["limits"]["rdma/ib"] = "3"

    (found,) = seen([large], [train, pod("dns", 0)]).nodes

    assert {device.resource for device in found.devices} == {GPU}
    assert dict(found.allocatable.others) == {"pods": 110, "rdma/ib": 8, "devices.kubevirt.io/kvm": 1000}
    assert dict(found.used.others) == {"pods": 2, "rdma/ib": 3}


def test_where_the_scheduler_makes_room_for_somebody_the_room_is_used() -> None:
    """It ends what runs there first; the queue must not give that out in between."""
    urgent = pod("urgent", 8, on="", phase="Pending")
    urgent["status"]["nominatedNodeName"] = "dgx1"

    assert dict(seen([node()], [urgent]).nodes[0].used.gpus) == {GPU: 8}


@pytest.mark.parametrize(("works", "there", "broken"), [(8, 8, {}), (7, 8, {GPU: 1}), (0, 8, {GPU: 8}), (8, 0, {})])
def test_what_a_kubelet_counts_and_does_not_give_out_is_broken(works: int, there: int, broken: dict[str, int]) -> None:
    """It stays on the books: a request for eight waits for a repair, and is not told that it fits nowhere."""
    found = seen([node(gpus=works, capacity=there)], []).nodes[0]

    assert dict(found.broken.gpus) == broken
    assert len(found.devices) == found.allocatable.gpu_count == 8
    assert (found.allocatable.cpus, found.broken.cpus) == (127.5, 0.0)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_uses_nothing_and_is_no_trace_of_a_job(phase: str) -> None:
    """Its record stays until somebody deletes it."""
    found = seen([node()], [pod("done", 8, phase=phase), pod("mine", 8, phase=phase, key="k1")])

    assert dict(found.nodes[0].used.gpus) == {}
    assert found.jobs == {}


def test_a_pod_that_is_not_bound_yet_is_a_trace_of_its_job() -> None:
    """It may run any moment."""
    found = seen([node()], [pod("mine", 2, on="", phase="Pending", key="k1", launch=3)])

    (trace,) = found.jobs["k1"]
    assert isinstance(trace, Pod)
    assert (trace.name, trace.node, trace.launch, trace.resources.gpu_count) == ("mine", "", 3, 2)


def test_another_installation_s_pods_are_others() -> None:
    """Two queues in one cluster leave each other's pods alone."""
    found = seen([node()], [pod("theirs", 3, key="k1", instance="fedcba9876543210")])

    assert found.jobs == {}
    assert dict(found.nodes[0].used.gpus) == {GPU: 3}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"conditions": {"Ready": "Unknown"}}, "not ready"),
        ({"conditions": {}}, "not ready"),
        (
            {"conditions": {"Ready": "True", "DiskPressure": "True", "PIDPressure": "True"}},
            "short of disk space, process ids",
        ),
        ({"conditions": {"Ready": "True", "NetworkUnavailable": "True"}}, "without a network"),
        ({"unschedulable": True}, "cordoned"),
    ],
)
def test_a_node_that_takes_nothing_new_says_why(more: dict[str, Any], words: str) -> None:
    """It keeps what it has."""
    found = seen([node(**more)], []).nodes[0]

    assert (found.drained, found.note) == (True, words)


@pytest.mark.parametrize(
    ("ready", "away"),
    [
        ({"status": "Unknown", "reason": "NodeStatusUnknown"}, {"dgx1"}),
        ({"status": "Unknown", "reason": "NodeStatusNeverUpdated"}, set()),
        ({"status": "False", "reason": "KubeletNotReady"}, set()),
        ({"status": "True", "reason": "KubeletReady"}, set()),
    ],
)
def test_a_node_is_away_when_the_cluster_does_not_hear_from_it_any_more(ready: dict[str, str], away: set[str]) -> None:
    """One that says itself that it is not ready is there; one that never said anything was not lost."""
    document = node()
    document["status"]["conditions"] = [{"type": "Ready"} | ready]

    assert seen([document], []).away == away


def test_a_tainted_node_is_open_to_those_who_tolerate_it_and_says_so() -> None:
    """What is more is told instead."""
    taints = [{"key": "b", "effect": "NoExecute"}, {"key": "a", "value": "x", "effect": "NoSchedule"}]

    found, cordoned = seen([node(taints=taints), node("dgx2", taints=taints, unschedulable=True)], []).nodes

    assert (found.drained, found.note) == (False, "tainted a, b")
    assert set(found.taints) == {Taint(key="a", value="x"), Taint(key="b", effect="NoExecute")}
    assert (cordoned.drained, cordoned.note) == (True, "cordoned")


def test_a_node_has_its_labels() -> None:
    """All of them: nobody knows yet what a later profile asks for."""
    assert dict(seen([node()], []).nodes[0].labels) == {"nvidia.com/gpu.product": "NVIDIA-A100"}


def test_a_taint_that_is_overlooked_or_only_prefers_keeps_nobody_out() -> None:
    """Nor do the cluster's own that say the same as a condition."""
    said = ["not-ready", "unreachable", "unschedulable", "network-unavailable"]
    pressed = [f"{what}-pressure" for what in ("memory", "disk", "pid")]
    taints = [
        {"key": GPU, "effect": "NoSchedule"},
        {"key": "soft", "effect": "PreferNoSchedule"},
        *({"key": f"node.kubernetes.io/{name}", "effect": "NoSchedule"} for name in said + pressed),
    ]

    found = seen([node(taints=taints)], [], tolerated=[GPU]).nodes[0]

    assert (found.drained, found.note, found.taints) == (False, "", ())


@pytest.mark.parametrize("name", ["out-of-service", "what-a-later-cluster-invents"])
def test_a_taint_of_the_cluster_s_own_that_no_condition_says_keeps_out(name: str) -> None:
    """An admin sets it on a machine that is off, and it may be forgotten there when the machine is back."""
    taint = {"key": f"node.kubernetes.io/{name}", "value": "nodeshutdown", "effect": "NoExecute"}

    found = seen([node(taints=[taint])], []).nodes[0]

    assert found.note == f"tainted node.kubernetes.io/{name}"
    assert [taint.key for taint in found.taints] == [f"node.kubernetes.io/{name}"]


def test_a_node_without_a_capacity_gives_out_nothing_and_blinds_nobody() -> None:
    """It has just joined, or says what cannot be read."""
    bare = {"metadata": {"name": "new"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    odd = node("odd")
    odd["status"]["allocatable"][GPU] = "0.5"

    new, strange, good = seen([bare, odd, node()], []).nodes

    assert (new.allocatable.cpus, new.devices, len(good.devices)) == (0.0, (), 8)
    assert dict(strange.broken.gpus) == {GPU: len(strange.devices)}, "all of them are shown, and none is given out"
    assert strange.allocatable.cpus == 127.5


@pytest.mark.parametrize("place", ["containers", "initContainers", "pod", "overhead"])
def test_an_amount_that_cannot_be_read_hides_no_other_of_its_pod(place: str) -> None:
    """The API server has a way to read it; the GPUs beside it are in use all the same."""
    odd = pod("odd", 4)
    amounts = {"cpu": "1e100", "memory": "1Gi"}
    if place == "overhead":
        odd["spec"]["overhead"] = amounts
    elif place == "pod":
        odd["spec"]["resources"] = {"requests": amounts}
    else:
        odd["spec"].setdefault(place, []).append({"name": "odd", "resources": {"requests": amounts}})

    used = seen([node()], [odd]).nodes[0].used

    assert dict(used.gpus) == {GPU: 4}
    assert used.memory >= 2**30
    assert used.cpus == 0.5


def test_nothing_of_a_pod_s_environment_is_kept() -> None:
    """A user's token may stand there."""
    document = pod("mine", key="k1")
    document["spec"]["containers"][0]["env"] = [{"name": "JUPYTERHUB_API_TOKEN", "value": "secret-token"}]
    document["metadata"]["annotations"] = {"note": "secret-token"}

    assert "secret-token" not in repr(seen_pod(document))

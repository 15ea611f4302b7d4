"""What the doctor reads off nodes, pure. A real cluster's: tests/cluster/test_doctor.py."""

from __future__ import annotations

from typing import Any

import pytest

from gpuqueue_spawner.cli.doctor import nodes
from gpuqueue_spawner.cli.doctor.findings import NotChecked, Outcome

GPU = "nvidia.com/gpu"
FULL = "nvidia.com/cuda.driver-version.full"


def node(name: str = "dgx1", *, gpus: object = 8, of: object = None, labels: Any = (), **spec: Any) -> dict[str, Any]:
    capacity = {"cpu": "8", GPU: str(of if of is not None else gpus)}
    return {
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": spec,
        "status": {
            "capacity": capacity if gpus is not None else {"cpu": "8"},
            "allocatable": {"cpu": "8", **({GPU: str(gpus)} if gpus is not None else {})},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_a_whole_cluster_is_in_order() -> None:
    whole = [node(), node("dgx2"), node("cpu1", gpus=None)]

    assert nodes.offered(whole).seen == "16 GPUs on 2 of 3 nodes."
    for judge in (nodes.offered, nodes.plugin, nodes.healthy, nodes.unreadable):
        assert judge(whole).outcome is Outcome.OK
    assert nodes.open_nodes(whole, tolerated=()).outcome is Outcome.OK


@pytest.mark.parametrize("having", [[], [node("cpu1", gpus=None)], [node(gpus=0)]])
def test_a_cluster_that_offers_no_gpu_is_a_problem(having: list[dict[str, Any]]) -> None:
    assert nodes.offered(having).outcome is Outcome.PROBLEM


@pytest.mark.parametrize(
    "label",
    [
        "nvidia.com/gpu.present",
        "feature.node.kubernetes.io/pci-10de.present",
        "feature.node.kubernetes.io/pci-0302_10de.present",
    ],
)
def test_hardware_without_offer_is_a_missing_plugin(label: str) -> None:
    """Whoever set the label: NVIDIA's discovery, or node feature discovery in either of its forms."""
    found = nodes.plugin([node(), node("dgx.nine-A", gpus=None, labels={label: "true"})])

    assert (found.outcome, "dgx.nine-A" in found.seen) == (Outcome.PROBLEM, True)


@pytest.mark.parametrize(
    "label", [("nvidia.com/gpu.present", "false"), ("feature.node.kubernetes.io/pci-0300_1a03.present", "true")]
)
def test_another_vendor_s_display_is_no_gpu(label: tuple[str, str]) -> None:
    assert nodes.plugin([node(gpus=None, labels=[label])]).outcome is Outcome.OK


def test_fewer_offered_than_there_are_is_a_broken_gpu() -> None:
    """One of a MIG resource counts too."""
    found = nodes.healthy([node(gpus=7, of=8), node("dgx2")])

    assert (found.outcome, found.seen) == (
        Outcome.WARNING,
        "The device plugin takes GPUs for broken: dgx1 (1 of 8 nvidia.com/gpu).",
    )


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"unschedulable": True}, "cordoned"),
        ({"taints": [{"key": "campus.example/keep", "effect": "NoSchedule"}]}, "tainted campus.example/keep"),
    ],
)
def test_a_node_that_takes_nothing_is_named_with_the_reason(spec: dict[str, Any], why: str) -> None:
    """A problem where none is left."""
    some = nodes.open_nodes([node(**spec), node("dgx2")], tolerated=())
    none = nodes.open_nodes([node(**spec)], tolerated=())

    assert (some.outcome, none.outcome) == (Outcome.WARNING, Outcome.PROBLEM)
    assert f"dgx1 ({why})" in some.seen


def test_a_taint_named_for_what_the_node_offers_is_no_fault() -> None:
    """It says that nobody else belongs there."""
    tainted = node(taints=[{"key": GPU, "value": "present", "effect": "NoSchedule"}])

    assert nodes.open_nodes([tainted], tolerated=()).outcome is Outcome.OK


@pytest.mark.parametrize("amounts", [{}, None, {"cpu": "8", GPU: "0.5"}, {"memory": "8GB"}])
def test_amounts_that_cannot_be_read_are_named(amounts: Any) -> None:
    """The queue gives nothing of such a node, and everything of the others."""
    odd = node("odd")
    odd["status"]["allocatable"] = amounts

    found = nodes.unreadable([node(), odd])

    assert (found.outcome, "odd (" in found.seen) == (Outcome.WARNING, True)


def test_drivers_are_told_by_labels_or_not_at_all() -> None:
    labelled = [node(labels={FULL: "580.95.05"}), node("dgx2", labels={FULL: "580.178.04"})]

    found = nodes.drivers(labelled)
    assert found.outcome is Outcome.PROBLEM
    assert "the driver of dgx1 is 580.95.05 (CVE-2026-47501)" in found.seen
    assert found.todo == ("Install 580.178.04 or newer.",)
    assert nodes.drivers(labelled[1:]).outcome is Outcome.OK
    with pytest.raises(NotChecked):
        nodes.drivers([node()])


def test_a_thousand_nodes_are_not_all_named() -> None:
    found = nodes.plugin(
        [node(f"n{number}", gpus=None, labels={nodes.DISPLAY + "02_10de.present": "true"}) for number in range(1000)]
    )

    assert "n0, n1, n2, n3, n4, 995 more" in found.seen

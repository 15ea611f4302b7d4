"""Every part of the cluster can be lost and comes back; what the tests of the queue under faults rest on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.nodes import Node
from tests.services.program import until

from .objects import pod, ready

Namespace = Callable[[], Kubectl]

LOST_WITHIN_S = 30  # the cluster takes 6 s to call a node lost, and half as much to notice


@pytest.fixture
def whole_cluster(own_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; it is whole again afterwards."""
    yield own_cluster
    own_cluster.mend()


def lost(it: Cluster, node: Node) -> float:
    """Wait until the cluster calls a node lost; returns after how many seconds."""
    since = time.monotonic()
    until(lambda: not it.node_ready(node.name), within=LOST_WITHIN_S, what=f"{node.name} is lost", story=it.story)
    return time.monotonic() - since


@pytest.mark.parametrize("name", ["etcd", "apiserver", "controllers", "scheduler", "dns"])
def test_a_killed_part_of_the_control_plane_goes_on_where_it_was(
    name: str, whole_cluster: Cluster, namespace: Namespace
):
    kubectl = namespace()
    kubectl.apply(pod("before", whole_cluster.images["base"], gpus=1))
    kubectl.until("pod", "before", ready, within=30, what="is ready")
    component = whole_cluster.components[name]

    component.kill()
    assert not component.alive
    component.start()
    whole_cluster.whole()

    kubectl.apply(pod("after", whole_cluster.images["base"], gpus=1))
    kubectl.until("pod", "after", ready, within=60, what="is ready")
    assert ready(kubectl.get("pod", "before"))


def test_a_paused_api_server_answers_once_it_goes_on(whole_cluster: Cluster):
    whole_cluster.components["apiserver"].pause()
    silent = not whole_cluster.api_ready()
    whole_cluster.components["apiserver"].resume()

    assert silent
    until(whole_cluster.api_ready, within=10, what="the API server answers")


def test_a_node_whose_network_is_cut_is_lost_and_comes_back(whole_cluster: Cluster):
    node = whole_cluster.nodes["dgx2"]

    node.cut()
    lost(whole_cluster, node)
    node.heal()

    whole_cluster.whole()


def test_a_node_without_kubelet_and_containerd_is_lost_while_its_containers_run_on(
    whole_cluster: Cluster, namespace: Namespace
):
    node, kubectl = whole_cluster.nodes["dgx2"], namespace()
    counting = "while :; do date +%s > /share/alive; sleep 0.2; done"
    kubectl.apply(
        pod("alive", whole_cluster.images["base"], "sh", "-c", counting, node=node.name, share=whole_cluster.share)
    )
    kubectl.until("pod", "alive", ready, within=30, what="is ready")
    assert whole_cluster.share

    node.kill_with_containerd()
    lost(whole_cluster, node)
    written = whole_cluster.share.path / "alive"
    seen = written.stat().st_mtime_ns
    until(lambda: written.stat().st_mtime_ns > seen, within=5, what="the container still writes")
    node.start_with_containerd()

    whole_cluster.whole()


def test_a_node_without_power_loses_everything_but_its_disk(whole_cluster: Cluster, namespace: Namespace):
    node, kubectl = whole_cluster.nodes["dgx2"], namespace()
    kubectl.apply(pod("gone", whole_cluster.images["base"], gpus=3, node=node.name))
    kubectl.until("pod", "gone", ready, within=30, what="is ready")
    assert [len(each.ids) for each in node.allocations() if each.namespace == kubectl.namespace] == [3]

    node.unplug()
    lost(whole_cluster, node)
    kubectl.until("pod", "gone", lambda it: "deletionTimestamp" in it["metadata"], within=30, what="is given up")
    node.start()
    whole_cluster.whole()

    until(lambda: not kubectl.find("pod", "gone"), within=60, what="the pod is gone", story=whole_cluster.story)
    assert not [each for each in node.allocations() if each.namespace == kubectl.namespace]


def test_a_broken_gpu_is_no_longer_offered(whole_cluster: Cluster):
    node = whole_cluster.nodes["dgx1"]

    def offered() -> str:
        return str(whole_cluster.kubectl.get("node", "dgx1")["status"]["allocatable"]["nvidia.com/gpu"])

    node.break_gpus(3)
    until(lambda: offered() == "7", within=15, what="one GPU less is offered")
    node.break_gpus()
    until(lambda: offered() == "8", within=15, what="it is offered again")

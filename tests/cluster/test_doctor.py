"""The doctor looks at a real cluster: of a broken one it names what is broken."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.nodes import Node
from tests.services.program import until
from tests.unit.cli.doctor.examined import Told, examined, problems

Look = Callable[..., dict[str, Told]]
FULL = "nvidia.com/cuda.driver-version.full"
MANAGER = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "doctor-test"},
    "rules": [{"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["list", "watch"]}],
}


@pytest.fixture
def look(own_cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> Iterator[Look]:
    """Look as an admin, or as whom a kubeconfig says; the cluster is whole again afterwards."""

    def at(kubeconfig: Path | None = None, *more: object) -> dict[str, Told]:
        return examined(capsys, "--kubeconfig", kubeconfig or own_cluster.kubectl.kubeconfig, *more)

    yield at
    own_cluster.mend()


def logged_in(cluster: Cluster, folder: Path, **user: str) -> Path:
    """A kubeconfig for somebody else."""
    document = json.loads(cluster.kubectl.kubeconfig.read_text())
    document["users"][0]["user"] = user
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return path


@contextmanager
def policy_kept(cluster: Cluster, kubectl: Kubectl) -> Iterator[None]:
    """Keep the first policy of a namespace, as a network plugin would."""
    done, closed = threading.Event(), []

    def keep() -> None:
        while not done.wait(0.2):
            if closed or not kubectl.all("networkpolicies"):
                continue
            (target,) = kubectl.all("pods", labels="gpuqueue.jupyter.org/probe-role=target")
            closed.append(target["status"]["podIP"])
            for node in cluster.nodes.values():
                _firewall(node, "-I", closed[0])

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for node in cluster.nodes.values():
            for address in closed:
                _firewall(node, "-D", address)


def _firewall(node: Node, change: str, address: str) -> None:
    """Drop what goes to an address, on a node; packets between two pods of one node pass its bridge."""
    rule = [change, "FORWARD", "-d", address, "-j", "DROP"]
    subprocess.run(["nsenter", f"--net=/proc/{node.machine.pid}/ns/net", "iptables", *rule], check=True, timeout=30)


def account(kubectl: Kubectl, name: str) -> str:
    """A token of a service account that may do nothing yet."""
    kubectl("create", "serviceaccount", name)
    return kubectl("create", "token", name).strip()


def test_a_whole_cluster_is_in_order_and_an_admin_may_more(look: Look) -> None:
    found = look()

    assert problems(found) == set()
    assert found["nodes.gpus"].seen == "16 GPUs on 2 of 2 nodes."
    assert (found["cluster.rights"].outcome, "list secrets" in found["cluster.rights"].seen) == ("warning", True)
    assert found["nodes.driver"].outcome == "not checked"
    assert not any(name.startswith("machine.") for name in found)


def test_an_account_with_the_guide_s_rights_is_in_order_and_one_without_is_not(
    own_cluster: Cluster, look: Look, namespace: Callable[[], Kubectl], tmp_path: Path
) -> None:
    kubectl = namespace()
    token = account(kubectl, "manager")

    without = look(logged_in(own_cluster, tmp_path, token=token))
    own_cluster.kubectl.apply(MANAGER)
    who = f"--serviceaccount={kubectl.namespace}:manager"
    own_cluster.kubectl("create", "clusterrolebinding", "doctor-test", "--clusterrole=doctor-test", who)
    try:
        right = look(logged_in(own_cluster, tmp_path, token=token))
    finally:
        own_cluster.kubectl("delete", "clusterrolebinding,clusterrole", "doctor-test")

    assert problems(without) == {"cluster.rights"}
    assert "may not list nodes, watch nodes, list pods, watch pods" in without["cluster.rights"].seen
    assert f"system:serviceaccount:{kubectl.namespace}:manager" in without["cluster.rights"].seen
    assert without["nodes.gpus"].outcome == "not checked"
    assert problems(right) == set()
    assert right["cluster.rights"].outcome == "ok"
    assert "token that is good until" in right["cluster.login"].seen


def test_a_login_that_has_ended_or_is_none_is_told(own_cluster: Cluster, look: Look, tmp_path: Path) -> None:
    assert own_cluster.authority
    late = own_cluster.authority.kubeconfig("late", "late", own_cluster.server, group="system:masters", ended=True)

    assert "client certificate ended on" in look(late)["cluster.login"].seen
    assert (
        "does not accept this login" in look(logged_in(own_cluster, tmp_path, token="nobody"))["cluster.answers"].seen
    )
    assert "neither certificate nor token" in look(logged_in(own_cluster, tmp_path))["cluster.login"].seen


def test_an_api_server_that_is_away_costs_seconds_and_is_told_once(own_cluster: Cluster, look: Look) -> None:
    own_cluster.components["apiserver"].kill()

    found = look()

    assert problems(found) == {"cluster.answers"}
    assert own_cluster.server in found["cluster.answers"].seen


def test_broken_gpus_are_counted_until_they_are_mended(own_cluster: Cluster, look: Look) -> None:
    own_cluster.nodes["dgx2"].break_gpus(3)

    def offered() -> bool:
        return own_cluster.kubectl.get("node", "dgx2")["status"]["allocatable"]["nvidia.com/gpu"] == "7"

    until(offered, within=20, what="one GPU less is offered")
    broken = look()
    own_cluster.mend()

    assert (broken["nodes.health"].outcome, "dgx2 (1 of 8 nvidia.com/gpu)" in broken["nodes.health"].seen) == (
        "warning",
        True,
    )
    assert look()["nodes.health"].outcome == "ok"


def test_nodes_are_told_by_what_is_wrong_with_each(own_cluster: Cluster, look: Look) -> None:
    """One without a device plugin or any amount, one with an old driver, one that is cordoned."""
    labels = {"nvidia.com/gpu.present": "true"}
    own_cluster.kubectl.apply(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "dgx-3.campus.example", "labels": labels}}
    )
    own_cluster.kubectl("label", "node", "dgx1", f"{FULL}=580.95.05")
    own_cluster.kubectl("cordon", "dgx2")
    try:
        found = look()
    finally:
        own_cluster.kubectl("uncordon", "dgx2")
        own_cluster.kubectl("label", "node", "dgx1", f"{FULL}-")
        own_cluster.kubectl("delete", "node", "dgx-3.campus.example")

    assert problems(found) == {"nodes.plugin", "nodes.driver"}
    assert "dgx-3.campus.example" in found["nodes.plugin"].seen
    assert "dgx-3.campus.example (says nothing)" in found["nodes.amounts"].seen
    assert "dgx1 is 580.95.05" in found["nodes.driver"].seen
    assert "dgx2 (cordoned)" in found["nodes.open"].seen


def left(cluster: Cluster, namespace: str) -> str:
    return cluster.kubectl("get", "pods,networkpolicies", "--namespace", namespace, "--output=name").strip()


def test_probes_tell_that_this_network_keeps_no_policy_and_that_the_share_mounts(
    own_cluster: Cluster, look: Look, namespace: Callable[[], Kubectl]
) -> None:
    """The test cluster's network plugin knows no policies. Nothing of the pods stays."""
    assert own_cluster.share
    kubectl = namespace()
    nfs = f"{own_cluster.share.server}:{own_cluster.share.export}"

    found = look(None, "--probe", kubectl.namespace, "--image", own_cluster.images["notebook"], "--nfs", nfs)

    assert problems(found) == {"probe.network"}, found
    assert "kept by nobody" in found["probe.network"].seen
    assert found["probe.share"].outcome == "ok"
    until(lambda: not left(own_cluster, kubectl.namespace), within=30, what="nothing is left")


def test_a_policy_that_is_kept_and_a_share_that_is_none_are_told(
    own_cluster: Cluster, look: Look, namespace: Callable[[], Kubectl]
) -> None:
    """Kept by the test itself, which closes the pod's address on every node once there is a policy."""
    assert own_cluster.share
    kubectl = namespace()
    nfs = f"{own_cluster.share.server}:/no-such-export"

    with policy_kept(own_cluster, kubectl):
        found = look(None, "--probe", kubectl.namespace, "--image", own_cluster.images["notebook"], "--nfs", nfs)

    assert found["probe.network"].outcome == "ok", found["probe.network"]
    assert problems(found) == {"probe.share"}
    assert f"No pod can mount {nfs}" in found["probe.share"].seen
    until(lambda: not left(own_cluster, kubectl.namespace), within=60, what="nothing is left")


def test_a_namespace_that_takes_no_such_pod_is_told(
    own_cluster: Cluster, look: Look, namespace: Callable[[], Kubectl]
) -> None:
    """Pod Security "restricted" takes the pods of the network's probe, and no share named in a pod."""
    assert own_cluster.share
    kubectl = namespace()
    own_cluster.kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    nfs = f"{own_cluster.share.server}:{own_cluster.share.export}"

    found = look(None, "--probe", kubectl.namespace, "--image", own_cluster.images["notebook"], "--nfs", nfs)

    assert "kept by nobody" in found["probe.network"].seen
    assert (found["probe.share"].outcome, "PodSecurity" in found["probe.share"].seen) == ("not checked", True)

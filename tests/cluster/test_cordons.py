"""A node that an admin drains in the queue is closed in the cluster as well, where the manager may do that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpuqueue_spawner.capacity.kubernetes.cluster import CORDONED_BY
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import queue_on
from tests.services.kubernetes.rights import account, grant, told
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

PATCHES = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "gpuqueue-test-cordons"},
    "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}],
}


@pytest.fixture(scope="module")
def manager(own_cluster: Cluster, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """The manager's account: it may what the guide gives it, and no more."""
    role = told("ClusterRole", "gpuqueue-manager")
    folder = tmp_path_factory.mktemp("accounts")
    them = account(own_cluster.kubectl, kubectl.namespace, "cordons", folder)
    grant(own_cluster.kubectl, role, f"{kubectl.namespace}:cordons")
    yield them
    for name in (role["metadata"]["name"], PATCHES["metadata"]["name"]):  # type: ignore[index]
        own_cluster.kubectl("delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found")


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, kubectl: Kubectl, manager: Kubectl) -> Iterator[Site]:
    """A site whose manager is to cordon."""
    more = "c.KubernetesCapacity.cordon_drained = True"
    with queue_on(own_cluster, kubectl, manager_kubeconfig=Path(manager.kubeconfig), manager_more=more) as it:
        yield it
    own_cluster.mend()


@pytest.fixture
def admin(house: Site) -> Visitor:
    """An admin of the queue."""
    return Visitor(house, "dana").login()


@pytest.fixture
def cordoned(own_cluster: Cluster) -> Iterator[Callable[[str], tuple[bool, bool]]]:
    """Whether a node is closed, and by the queue. All are open afterwards."""

    def look(name: str) -> tuple[bool, bool]:
        found = own_cluster.kubectl.get("node", name)
        return bool(found["spec"].get("unschedulable")), CORDONED_BY in found["metadata"].get("annotations", {})

    yield look
    for name in own_cluster.nodes:
        own_cluster.kubectl("uncordon", name)


def test_without_the_right_the_queue_drains_alone_and_says_so(
    house: Site, admin: Visitor, cordoned: Callable[[str], tuple[bool, bool]]
) -> None:
    assert admin.queue("POST", "nodes/dgx1/drain", body={"note": "New driver"}).ok

    def warned() -> bool:
        page = admin.session.get(f"{house.url}/services/gpuqueue/admin", timeout=20).text
        return "the right to patch nodes. The cluster refuses: " in page

    until(warned, within=20, what="the admin page says so", story=house.story)
    assert cordoned("dgx1") == (False, False)
    (node,) = [each for each in admin.queue("GET", "nodes").json()["nodes"] if each["name"] == "dgx1"]
    assert (node["drained"], node["note"]) == (True, "New driver")
    assert admin.queue("POST", "nodes/dgx1/undrain", body={}).ok


def test_a_drained_node_takes_nobody_s_pods_until_it_is_taken_back(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, admin: Visitor, cordoned: Callable[[str], tuple[bool, bool]]
) -> None:
    """A manager that was killed in between makes good what it left; a node that somebody else closed stays closed."""
    grant(own_cluster.kubectl, PATCHES, f"{kubectl.namespace}:cordons")
    own_cluster.kubectl("cordon", "dgx2")
    for name in ("dgx1", "dgx2"):
        assert admin.queue("POST", f"nodes/{name}/drain", body={"note": "New driver"}).ok
    until(lambda: cordoned("dgx1") == (True, True), within=20, what="dgx1 is cordoned", story=house.story)
    assert cordoned("dgx2") == (True, False)

    for name in ("dgx1", "dgx2"):
        assert admin.queue("POST", f"nodes/{name}/undrain", body={}).ok
    house.manager.kill()
    house.manager.start()

    until(lambda: cordoned("dgx1") == (False, False), within=40, what="dgx1 is open again", story=house.story)
    assert cordoned("dgx2") == (True, False)

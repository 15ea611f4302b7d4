"""What the guides tell an admin to apply and type, asked of a real cluster; and what they say of nodes and images."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator

import pytest

from gpuqueue_spawner.capacity import KubernetesCapacity
from gpuqueue_spawner.capacity.base import CapacityUnavailable
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import queue_on
from tests.services.program import until
from tests.services.visitor import Visitor
from tests.unit.docs.manifests import Manifest, objects
from tests.unit.docs.snippets import Snippet, commands, snippets

from .objects import pod, ready

Namespace = Callable[[], Kubectl]

GUIDES = [f"docs/howto/{name}.md" for name in ("dgx-nodes", "join-workers", "control-plane", "ingress", "kubernetes")]
#: What a command of kubectl is to a cluster with two nodes, dgx1 and dgx2, a namespace, and nothing else of a guide.
ASKS = {"get", "describe"}
CHANGES = {"label", "taint", "drain", "delete node"}
NEEDS_MORE = {"apply", "create secret", "delete pod", "exec", "logs"}  # what the guide has just made
BINDS = {"create rolebinding", "create clusterrolebinding"}  # what test_rights.py does with the guide's roles
ANY_NUMBER = 1000680000  #: as OpenShift gives one to a namespace


def typed() -> list[tuple[Snippet, list[str]]]:
    """Every command of kubectl in the guides, without that word."""
    return [(snippet, words[1:]) for snippet, words in commands() if words[0] == "kubectl" and snippet.page in GUIDES]


def verb(words: list[str]) -> str:
    """What a command does; with a kind where it matters to which."""
    first, second = words[0], words[1]
    return f"{first} {second}" if first in ("create", "delete") else first


def asking(verbs: set[str]) -> list[list[str]]:
    """The commands with these verbs, each once."""
    found = {tuple(words): words for _, words in typed() if verb(words) in verbs}
    return list(found.values())


@pytest.mark.parametrize("manifest", objects(), ids=str)
def test_every_manifest_is_one_that_the_api_server_takes(
    manifest: Manifest, any_cluster: Cluster, namespace: Namespace
) -> None:
    """Strictly, a field that it does not know included; in a namespace and under names of this test's own."""
    kubectl = namespace()
    for each in manifest.documents:
        each["metadata"]["name"] += "-tried"
        if "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = kubectl.namespace
        said = kubectl("apply", "--dry-run=server", "--validate=strict", "--filename=-", text=json.dumps(each))
        assert "(server dry run)" in said


def test_a_wrong_manifest_would_be_noticed(any_cluster: Cluster, namespace: Namespace) -> None:
    document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}, "automountServiceToken": False}

    with pytest.raises(AssertionError, match="automountServiceToken"):
        namespace()("apply", "--dry-run=server", "--validate=strict", "--filename=-", text=json.dumps(document))


def test_it_is_known_of_every_command_whether_it_can_be_tried() -> None:
    assert {verb(words) for _, words in typed()} <= ASKS | CHANGES | NEEDS_MORE | BINDS
    assert {snippet.page for snippet, _ in typed()} == set(GUIDES)


@pytest.mark.parametrize("words", asking(ASKS), ids=" ".join)
def test_a_question_is_answered(words: list[str], own_cluster: Cluster) -> None:
    own_cluster.kubectl(*words)


@pytest.fixture(scope="module")
def furnished(own_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with the namespace that the guides speak of."""
    own_cluster.kubectl("create", "namespace", "notebooks")
    yield own_cluster
    own_cluster.kubectl("delete", "namespace", "notebooks")


@pytest.mark.parametrize("words", asking(CHANGES), ids=" ".join)
def test_a_change_is_one_that_the_api_server_takes(words: list[str], furnished: Cluster) -> None:
    """Tried without effect; a taint that is taken away again was there."""
    if words[0] == "taint" and words[-1].endswith("-"):
        assert [*words[:-1], words[-1][:-1]] in asking(CHANGES), "the guide takes away what it never set"
        return

    furnished.kubectl(*words, "--dry-run=server")


@pytest.fixture
def untainted(own_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; whatever a test did to its nodes is undone."""
    yield own_cluster
    for name in own_cluster.nodes:
        own_cluster.kubectl("uncordon", name)
        own_cluster.kubectl("patch", "node", name, "--type=merge", '--patch={"spec": {"taints": null}}')


def test_a_node_says_that_it_is_tainted_unless_the_taint_is_overlooked(untainted: Cluster) -> None:
    """And the node takes part again as soon as it is gone."""
    kubectl = untainted.kubectl
    capacity = KubernetesCapacity(
        instance="0123456789abcdef", kubeconfig=str(kubectl.kubeconfig), tolerated_taints=["nvidia.com/gpu"]
    )

    def notes(expected: dict[str, str]) -> None:
        def look() -> bool:
            with contextlib.suppress(CapacityUnavailable):  # until the cluster was listed once
                return {node.name: node.note for node in capacity.look().nodes if node.note} == expected
            return False

        until(look, within=20, what=f"the queue says {expected}")

    notes({})
    kubectl("taint", "node", "dgx1", "nvidia.com/gpu=present:NoSchedule")
    kubectl("taint", "node", "dgx2", "example.org/repair=yes:NoSchedule")
    notes({"dgx2": "tainted example.org/repair"})
    kubectl("cordon", "dgx1")
    notes({"dgx1": "cordoned", "dgx2": "tainted example.org/repair"})
    kubectl("taint", "node", "dgx2", "example.org/repair-")
    kubectl("uncordon", "dgx1")
    notes({})


def test_notebooks_come_to_tainted_nodes_with_the_guide_s_settings(untainted: Cluster, namespace: Namespace) -> None:
    """Both with GPUs and without, as every profile tolerates the taint; the manager is told nothing of it."""
    hub = next(each.text for each in snippets("python") if each.page == GUIDES[1] and "tolerations" in each.text)
    for node in untainted.nodes:
        untainted.kubectl("taint", "node", node, "nvidia.com/gpu=present:NoSchedule")
    kubectl = namespace()

    with queue_on(untainted, kubectl, hub_more=hub) as site:
        for name, profile in (("ada", "gpu1"), ("bob", "gpu0")):
            visitor = Visitor(site, name).login()
            visitor.start(profile)
            visitor.job_is("running", within=120)
            visitor.stop()
            visitor.no_job(within=60)


@pytest.fixture
def restricted(any_cluster: Cluster, namespace: Namespace) -> Kubectl:
    """A namespace that takes only what Pod Security's strictest level lets through."""
    kubectl = namespace()
    any_cluster.kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    return kubectl


def as_anybody(wanted: Object) -> Object:
    """A pod as OpenShift runs it: under a number that no image knows, in group 0, with nothing that it may do."""
    wanted["spec"]["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": ANY_NUMBER,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in wanted["spec"]["containers"]:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return wanted


def test_hub_and_proxy_run_under_any_number_in_group_0(any_cluster: Cluster, restricted: Kubectl) -> None:
    """With a database of the Hub's own in the folder of its image, and the Hub seen through the proxy."""
    token = {"CONFIGPROXY_AUTH_TOKEN": "only-for-this-test"}
    options = ("--Application.log_level=INFO", "--JupyterHub.authenticator_class=dummy")
    own_proxy = "--ConfigurableHTTPProxy.should_start=False"
    wanted = pod(
        "hub",
        any_cluster.images["hub"],
        "jupyterhub",
        *options,
        own_proxy,
        environment=token,
        ready_at=(8000, "/hub/health"),
    )
    # By its own choice its API listens on ::1.
    command = ("configurable-http-proxy", "--api-ip=127.0.0.1")
    beside = pod("proxy", any_cluster.images["proxy"], *command, environment=token)
    beside["spec"]["containers"][0]["name"] = "proxy"
    wanted["spec"]["containers"] += beside["spec"]["containers"]

    restricted.apply(as_anybody(wanted))

    restricted.until("pod", "hub", ready, within=60, what="is ready")
    assert restricted.exec("hub", "id", "-u").strip() == str(ANY_NUMBER)


def test_the_manager_runs_under_any_number_in_group_0(any_cluster: Cluster, restricted: Kubectl) -> None:
    """It makes its secrets and its database in the folder of its image, and leads."""
    command = ("gpuqueue", "manager", "--ip=0.0.0.0", "--upgrade-db")
    environment = {"JUPYTERHUB_API_TOKEN": "only-for-this-test"}
    wanted = pod(
        "manager",
        any_cluster.images["manager"],
        *command,
        environment=environment,
        ready_at=(8083, "/services/gpuqueue/api/v1/openapi.yaml"),
    )

    restricted.apply(as_anybody(wanted))

    restricted.until("pod", "manager", ready, within=60, what="is ready")
    made = restricted.exec("manager", "stat", "--format=%a %u %g", "spawner_secret", "gpuqueue.sqlite").split("\n")
    assert made[:2] == [f"600 {ANY_NUMBER} 0"] * 2


def test_a_notebook_runs_under_any_number_with_a_home_of_its_own(any_cluster: Cluster, restricted: Kubectl) -> None:
    """As the guide has it: the home is a volume; the one in the image is not for this number."""
    home = "/home/notebook"
    command = ("jupyter", "lab", "--ip=0.0.0.0", "--no-browser")
    wanted = pod("lab", any_cluster.images["notebook"], *command, environment={"HOME": home}, ready_at=(8888, "/api"))
    (container,) = wanted["spec"]["containers"]
    container["workingDir"] = home
    container["volumeMounts"] = [{"name": "home", "mountPath": home}]
    wanted["spec"]["volumes"] = [{"name": "home", "emptyDir": {}}]

    restricted.apply(as_anybody(wanted))

    restricted.until("pod", "lab", ready, within=90, what="is ready")
    touched = restricted.tried("exec", "lab", "--", "touch", "/home/jovyan/file", f"{home}/file")
    assert "/home/jovyan/file" in touched.stderr
    assert restricted.exec("lab", "ls", f"{home}/file")

"""Manager and Hub with the roles of the documentation, notebooks where Pod Security is enforced: enough and no more."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import KEYS, queue_on
from tests.services.kubernetes.rights import account, grant, told
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import pod, ready

START_S = 120
PLACE = "restricted-notebooks"
SYSTEM = "restricted-hub"  # where Hub and manager would be
ENFORCE = "pod-security.kubernetes.io/enforce"
Person = Callable[[], Visitor]


@pytest.fixture(scope="module")
def kubectl(own_cluster: Cluster) -> Iterator[Kubectl]:
    """As an admin, where the notebooks are."""
    admin = own_cluster.kubectl
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    labels = {ENFORCE: "restricted"}
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE, "labels": labels}})
    yield admin.within(PLACE)
    for name in (PLACE, SYSTEM):
        admin("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def manager(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Who the manager is."""
    it = account(kubectl, SYSTEM, "gpuqueue-manager", tmp_path_factory.mktemp("manager"))
    grant(kubectl.within(""), told("ClusterRole", "gpuqueue-manager"), f"{SYSTEM}:gpuqueue-manager")
    return it


@pytest.fixture(scope="module")
def hub(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """Who the Hub is."""
    it = account(kubectl, SYSTEM, "gpuqueue-hub", tmp_path_factory.mktemp("hub"))
    grant(kubectl, told("Role", "gpuqueue-hub"), f"{SYSTEM}:gpuqueue-hub", namespace=PLACE)
    return it


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, kubectl: Kubectl, hub: Kubectl, manager: Kubectl) -> Iterator[Site]:
    """One site for all tests; each has people of its own."""
    more = "c.KubeSpawner.storage_pvc_ensure = True\nc.KubeSpawner.storage_capacity = '1Mi'"
    accounts = {"hub_kubeconfig": hub.kubeconfig, "manager_kubeconfig": manager.kubeconfig}
    with queue_on(own_cluster, kubectl, hub_more=more, **accounts) as it:
        yield it


_names = itertools.count(1)


@pytest.fixture
def ada(house: Site) -> Iterator[Visitor]:
    """Somebody whose notebook runs."""
    it = Visitor(house, f"ada{next(_names)}").login()
    it.start("gpu1")
    it.job_is("running", within=START_S)
    yield it
    it.stop()
    it.all_ended(within=90)


def the_pod(kubectl: Kubectl, who: Visitor) -> Object:
    """The pod of somebody's notebook."""
    job = who.job()
    assert job
    (found,) = kubectl.all("pods", labels=f"{KEYS}job={job['id']}")
    return found


def token_in(kubectl: Kubectl, pod: str) -> str:
    """The token that a notebook really has."""
    return kubectl.exec(pod, "printenv", "JUPYTERHUB_API_TOKEN").strip()


def test_a_notebook_works_and_nothing_that_the_manager_can_read_holds_its_token(
    house: Site, kubectl: Kubectl, manager: Kubectl, ada: Visitor
) -> None:
    """Of all pods and nodes. The search finds it where it is: in the secret, which the manager may not read."""
    name = the_pod(kubectl, ada)["metadata"]["name"]
    token = token_in(kubectl, name)
    coded = base64.b64encode(token.encode()).decode()

    readable = "".join(manager("get", kind, "--all-namespaces", "--output=json") for kind in ("pods", "nodes"))
    secret = kubectl("get", "secrets", "--output=json")

    assert len(token) >= 32
    assert name in readable
    assert token not in readable
    assert coded not in readable
    assert coded in secret
    headers = {"Authorization": f"token {ada.token()}"}
    address = f"{house.url}/user/{ada.name}/api/status"
    until(
        lambda: "started" in requests.get(address, headers=headers, timeout=10).text,
        within=30,
        what="the notebook answers who comes with a token of the Hub, which it asks with its own",
        story=house.story,
    )


def test_a_secret_goes_with_its_pod_whoever_deletes_it(kubectl: Kubectl, ada: Visitor) -> None:
    """Behind the Hub's back too."""
    name = the_pod(kubectl, ada)["metadata"]["name"]
    assert kubectl.find("secret", f"{name}-token")

    kubectl.delete("pod", name, grace=0)

    until(lambda: not kubectl.find("secret", f"{name}-token"), within=60, what="the secret is gone")


def test_what_deletes_a_person_deletes_what_the_hub_made(house: Site, kubectl: Kubectl) -> None:
    """The Hub's rights are enough for start, stop, claims and secrets."""
    it = Visitor(house, f"leaves{next(_names)}").login()
    it.start("gpu0")
    it.job_is("running", within=START_S)
    (claim,) = [
        each["metadata"]["name"]
        for each in kubectl.all("persistentvolumeclaims")
        if each["metadata"]["name"].startswith(f"claim-{it.name}")
    ]

    it.stop()
    it.all_ended(within=90)
    assert house.hub_api("DELETE", f"/users/{it.name}").status_code == 204

    until(lambda: not kubectl.find("persistentvolumeclaim", claim), within=30, what="the claim is gone")


MANAGER_MAY = {("nodes", "list watch"), ("pods", "list watch")}
HUB_MAY = {
    ("events", "list watch"),
    ("persistentvolumeclaims", "create delete get"),
    ("pods", "create delete list watch"),
    ("secrets", "create delete"),
}


def rules(who: Kubectl, namespace: str) -> set[tuple[str, str]]:
    """Resources and verbs, as the API server says."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    said = json.loads(who("create", "--validate=false", "-f", "-", "--output=json", text=json.dumps(review)))
    found = set()
    for rule in said["status"]["resourceRules"]:
        found |= {(each, " ".join(sorted(rule["verbs"]))) for each in rule["resources"]}
    return found


def test_the_api_server_says_that_each_may_what_is_told_and_nothing_else(
    kubectl: Kubectl, manager: Kubectl, hub: Kubectl, tmp_path: Path
) -> None:
    """Beyond what everybody may: the manager everywhere the same, the Hub in the notebooks' namespace only."""
    everybody = rules(account(kubectl, SYSTEM, "nobody", tmp_path), PLACE)

    assert not everybody & (MANAGER_MAY | HUB_MAY)
    assert rules(manager, PLACE) - everybody == rules(manager, "kube-system") - everybody == MANAGER_MAY
    assert rules(hub, PLACE) - everybody == HUB_MAY
    assert rules(hub, SYSTEM) - everybody == rules(hub, "default") - everybody == set()


@pytest.mark.parametrize(
    "attempt",
    [
        f"get secrets -n {PLACE}",
        f"get events -n {PLACE}",
        f"run intruder --image=x -n {PLACE}",
        f"delete pod anything -n {PLACE}",
        f"create token gpuqueue-hub -n {SYSTEM}",
    ],
)
def test_the_manager_may_not(attempt: str, manager: Kubectl) -> None:
    tried = manager.tried(*attempt.split())

    assert tried.returncode != 0
    assert "forbidden" in tried.stderr


def test_the_manager_may_not_change_a_node(manager: Kubectl) -> None:
    """Asked directly: kubectl would be refused already at reading it."""
    kubeconfig = json.loads(manager.kubeconfig.read_text())
    headers = {
        "Authorization": f"Bearer {kubeconfig['users'][0]['user']['token']}",
        "Content-Type": "application/merge-patch+json",
    }
    ca = manager.kubeconfig.with_suffix(".crt")
    ca.write_bytes(base64.b64decode(kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]))
    nodes = f"{kubeconfig['clusters'][0]['cluster']['server']}/api/v1/nodes"
    change = json.dumps({"spec": {"unschedulable": True}})

    patched = requests.patch(f"{nodes}/dgx1", data=change, headers=headers, verify=str(ca), timeout=10)

    assert requests.get(nodes, headers=headers, verify=str(ca), timeout=10).status_code == 200
    assert patched.status_code == 403
    assert 'cannot patch resource "nodes"' in patched.json()["message"]


@pytest.mark.parametrize(
    "attempt",
    [
        "get nodes",
        "get namespaces",
        f"get pods -n {SYSTEM}",
        f"run intruder --image=x -n {SYSTEM}",
        f"get secrets -n {PLACE}",
        f"create token default -n {PLACE}",
        f"create configmap x -n {PLACE}",
    ],
)
def test_the_hub_may_not(attempt: str, hub: Kubectl) -> None:
    tried = hub.tried(*attempt.split())

    assert tried.returncode != 0
    assert "forbidden" in tried.stderr


def test_a_pod_that_is_not_restricted_is_refused_there(kubectl: Kubectl, own_cluster: Cluster) -> None:
    """So that the namespace of these tests does enforce it."""
    text = json.dumps(pod("loose", own_cluster.images["base"]))
    assert "violates PodSecurity" in kubectl.tried("apply", "-f", _file(kubectl, text)).stderr


def _file(kubectl: Kubectl, text: str) -> str:
    path = Path(kubectl.kubeconfig).with_name("loose.json")
    path.write_text(text)
    return str(path)


SEEN = """
import os, pathlib
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(int(status["CapBnd"], 16), status["Seccomp"].strip(), status["NoNewPrivs"].strip(), os.getuid(),
      pathlib.Path("/var/run/secrets/kubernetes.io").exists())
"""


def test_a_notebook_has_no_rights_in_its_node_or_in_the_cluster(kubectl: Kubectl, ada: Visitor) -> None:
    """No capability, a seccomp filter, no way to gain rights, not root, no service account token, by the kernel."""
    name = the_pod(kubectl, ada)["metadata"]["name"]

    assert kubectl.exec(name, "python3", "-c", SEEN).split() == ["0", "2", "1", "1000", "False"]


SCAN = """
import asyncio, sys
async def is_open(port, few):
    async with few:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(sys.argv[1], port), 5)
        except (OSError, TimeoutError):
            return None
        writer.close()
        return port
async def main():
    few = asyncio.Semaphore(200)
    found = await asyncio.gather(*(is_open(port, few) for port in range(1, 65536)))
    print([port for port in found if port])
asyncio.run(main())
"""


def test_a_port_scan_finds_the_notebook_s_port_only(
    own_cluster: Cluster, kubectl: Kubectl, ada: Visitor, namespace: Callable[[], Kubectl]
) -> None:
    """From another pod, all ports, while a kernel runs: its ports are on the loopback address of its own pod."""
    found = the_pod(kubectl, ada)
    kernel = "import jupyter_client.manager as m, time; m.start_new_kernel(); print('up', flush=True); time.sleep(300)"
    started = f"nohup python3 -c '{kernel}' > /tmp/kernel.log 2>&1 & for i in $(seq 300); do grep -q up /tmp/kernel.log"
    kubectl.exec(found["metadata"]["name"], "sh", "-c", f"{started} && exit 0; sleep 0.1; done; exit 1")
    elsewhere = namespace()
    elsewhere.apply(pod("scanner", own_cluster.images["notebook"]))
    elsewhere.until("pod", "scanner", ready, within=60, what="is ready")

    ports = elsewhere.exec("scanner", "python3", "-c", SCAN, found["status"]["podIP"])

    assert json.loads(ports) == [8888]

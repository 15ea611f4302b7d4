"""The chart in a real cluster: Hub, proxy and two managers as pods, and notebooks that wait in their queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import requests

from tests.services.database import running
from tests.services.kubernetes.chart import RELEASE, Installed, Networked, chart_in
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import KEYS
from tests.services.program import until
from tests.services.site import PREFIX
from tests.services.visitor import Visitor

from .objects import evict, ready

START_S = 180
Person = Callable[[], Visitor]


@pytest.fixture(scope="module")
def house(own_cluster: Cluster) -> Iterator[Installed]:
    """The chart with its queue in a PostgreSQL, which lets two managers take turns."""
    with running(Networked, "pg-") as server:
        server.make("gpuqueue")
        with chart_in(own_cluster, "chart", database=server.address_for_pods("gpuqueue")) as it:
            yield it


def pods_of(house: Installed, job: int) -> list[tuple[str, str, str]]:
    """Name, uid and node of a job's pods."""
    found = house.notebooks.all("pods", labels=f"{KEYS}job={job}")
    return [(each["metadata"]["name"], each["metadata"]["uid"], each["spec"].get("nodeName", "")) for each in found]


def answers(house: Installed, who: Visitor) -> bool:
    """Whether the notebook answers through the proxy."""
    headers = {"Authorization": f"token {who.token()}"}
    found = requests.get(f"{house.url}/user/{who.name}/api/status", headers=headers, timeout=10)
    return found.status_code == 200 and "started" in found.json()


def test_a_notebook_starts_and_answers_with_hub_proxy_and_managers_as_pods(
    house: Installed, own_cluster: Cluster, person: Person
) -> None:
    """Login, profile, a pod that "restricted" admits on the planned node, and the GPUs that its kubelet gave."""
    ada = person()
    ada.start("gpu", gpus="gpu4")
    job = ada.job_is("running", within=START_S)

    ((name, _, node),) = pods_of(house, job["id"])
    assert node == job["placement"]["node"]
    given = [each for each in own_cluster.allocations() if each.pod == name]
    assert [(each.node, len(each.ids)) for each in given] == [(node, 4)]
    until(lambda: answers(house, ada), within=60, what="the notebook answers", story=house.story)

    ada.stop()
    ada.no_job(within=60)
    assert pods_of(house, job["id"]) == []


def uids(pods: list[Object]) -> set[str]:
    return {each["metadata"]["uid"] for each in pods}


def secret_of(house: Installed) -> dict[str, str]:
    data: dict[str, str] = house.kubectl.get("secret", RELEASE)["data"]
    return data


def logged_in(who: Visitor) -> bool:
    """Whether the browser's session still holds, at the Hub."""
    answer = who.session.get(f"{who.site.url}/hub/home", allow_redirects=False, timeout=20)
    return answer.status_code == 200


def test_an_upgrade_with_a_full_queue_loses_nothing(house: Installed, person: Person) -> None:
    """Hub and managers are replaced: who runs runs on, who waits keeps number and place, and nobody logs in again."""
    ada, bob, carol, dan = (person() for _ in range(4))
    for each in (ada, bob):
        each.start("gpu", gpus="gpu8")
    running = {each: each.job_is("running", within=START_S) for each in (ada, bob)}
    pods = {each: pods_of(house, job["id"]) for each, job in running.items()}
    waiting = []
    for each, gpus in ((carol, "gpu8"), (dan, "gpu2")):
        each.start("gpu", gpus=gpus)
        waiting.append(each.job_is("queued")["id"])
    old, secret = uids(house.pods("manager") + house.pods("hub")), secret_of(house)

    house.install(manager={"helpUrl": "mailto:gpu@example.org"}, hub={"namedServers": 2})
    house.wait()

    assert not old & uids(house.pods("manager") + house.pods("hub")), "everything was replaced"
    assert secret_of(house) == secret
    assert all(map(logged_in, (ada, bob, carol, dan)))
    assert [each.job_is("queued")["id"] for each in (carol, dan)] == waiting
    for each, job in running.items():
        assert each.job_is("running")["id"] == job["id"]
        assert pods_of(house, job["id"]) == pods[each]
        until(lambda each=each: answers(house, each), within=60, what="the notebook answers", story=house.story)

    bob.stop()

    assert carol.job_is("running", within=START_S)["placement"]["node"] == running[bob]["placement"]["node"]
    assert dan.job_is("queued")["id"] == waiting[1], "nobody overtakes"


def leaders(house: Installed) -> list[str]:
    return [each["metadata"]["name"] for each in house.pods("manager") if ready(each)]


def test_drained_nodes_get_both_managers_away_and_the_leader_leads_on_meanwhile(
    house: Installed, person: Person
) -> None:
    """One leads and is ready, the other stands by; told to go at once, they hand over to those that start anew."""
    ada = person()
    ada.start("cpu")
    job = ada.job_is("running", within=START_S)
    first = leaders(house)
    assert len(first) == 1
    assert len(house.pods("manager")) == 2
    old = {each["metadata"]["name"] for each in house.pods("manager")}
    (other,) = old - {*first}

    evict(house.kubectl, first[0])
    evict(house.kubectl, other)

    assert requests.get(f"{house.url}{PREFIX}health", timeout=10).ok, "the one that goes leads on"
    until(lambda: {*leaders(house)} - old, within=60, what="one that is new leads", story=house.story)
    house.wait()
    assert ada.job_is("running")["id"] == job["id"]


def test_a_proxy_that_is_started_anew_leads_to_the_notebooks_again(house: Installed, person: Person) -> None:
    """Its routes are in memory only; the Hub looks whether they are there."""
    ada = person()
    ada.start("cpu")
    ada.job_is("running", within=START_S)
    until(lambda: answers(house, ada), within=60, what="the notebook answers", story=house.story)
    (proxy,) = house.pods("proxy")

    house.kubectl.delete("pod", proxy["metadata"]["name"], grace=0)
    house.wait()

    until(lambda: answers(house, ada), within=45, what="the notebook answers again", story=house.story)


CAN = {
    f"{RELEASE}-manager": {
        ("list", "nodes", ""): True,
        ("watch", "pods", ""): True,
        ("get", "pods", ""): False,
        ("patch", "nodes", ""): False,
        ("create", "pods", "notebooks"): False,
        ("delete", "pods", "notebooks"): False,
        ("get", "pods/log", "notebooks"): False,
        ("create", "pods/exec", "notebooks"): False,
        ("list", "secrets", "notebooks"): False,
        ("get", "secrets", "own"): False,
        ("list", "configmaps", "own"): False,
    },
    f"{RELEASE}-hub": {
        ("create", "pods", "notebooks"): True,
        ("delete", "pods", "notebooks"): True,
        ("get", "pods", "notebooks"): False,
        ("list", "events", "notebooks"): True,
        ("create", "pods/exec", "notebooks"): False,
        ("get", "pods/log", "notebooks"): False,
        ("create", "secrets", "notebooks"): True,
        ("list", "secrets", "notebooks"): False,
        ("get", "secrets", "notebooks"): False,
        ("list", "pods", "own"): False,
        ("create", "pods", "own"): False,
        ("get", "secrets", "own"): False,
        ("list", "nodes", ""): False,
    },
}


@pytest.mark.parametrize("account", CAN)
def test_each_account_may_what_it_needs_and_no_more(house: Installed, account: str) -> None:
    """Asked of the cluster for the real service accounts."""
    names = {"own": house.kubectl.namespace, "notebooks": house.notebooks.namespace}
    who = f"--as=system:serviceaccount:{house.kubectl.namespace}:{account}"

    for (verb, what, where), can in CAN[account].items():
        within = [f"--namespace={names[where]}"] if where else ["--all-namespaces"]
        kind, _, sub = what.partition("/")
        answer = Kubectl(house.kubectl.kubeconfig).tried(
            *("auth", "can-i", verb, kind, f"--subresource={sub}", who, *within)
        )
        assert answer.stdout.strip() == ("yes" if can else "no"), f"{account} {verb} {what} {where}: {answer}"


def test_what_is_uninstalled_is_found_again_when_it_is_installed_anew(house: Installed, person: Person) -> None:
    """Secrets, volumes, queue and notebooks stay; a notebook that ran runs on, and its person finds it."""
    ada = person()
    ada.start("gpu", gpus="gpu1")
    job = ada.job_is("running", within=START_S)
    pods, secret = pods_of(house, job["id"]), secret_of(house)

    house.uninstall()
    assert house.pods("hub") == house.pods("manager") == []
    assert pods_of(house, job["id"]) == pods
    house.install()
    house.wait()

    assert secret_of(house) == secret
    assert ada.job_is("running", within=60)["id"] == job["id"]
    assert pods_of(house, job["id"]) == pods
    until(lambda: answers(house, ada), within=60, what="the notebook answers", story=house.story)


def test_a_queue_in_a_file_has_one_manager_and_outlives_its_pod(own_cluster: Cluster) -> None:
    """Without a database server: the file is on a volume, which one pod at a time has."""
    with chart_in(own_cluster, "chart-file") as house:
        ada, bob, carol = (Visitor(house, name).login() for name in ("ada", "bob", "carol"))
        for each in (ada, bob):
            each.start("gpu", gpus="gpu8")
            each.job_is("running", within=START_S)
        carol.start("gpu", gpus="gpu1")
        waits = carol.job_is("queued")["id"]
        (manager,) = house.pods("manager")

        house.kubectl.delete("pod", manager["metadata"]["name"])
        house.wait()

        assert carol.job_is("queued")["id"] == waits
        ada.stop()
        assert carol.job_is("running", within=START_S)["id"] == waits

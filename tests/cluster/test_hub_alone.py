"""What becomes of jobs while the Hub does not reach the API server: nothing is lost, and what must go is gone later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import KEYS
from tests.services.kubernetes.relay import Relay
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import pod, pods_of, ready

START_S = 120
TRIES_S = 150  # until a launch has been given up that nobody answered: half a minute to make its pod, one to delete it
CLEARED_S = 60
OUTAGE_S = 60.0
Person = Callable[[], Visitor]
# A node that comes late after an outage, as on a busy machine, is given up by this cluster in seconds. Not here.
PATIENT = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for state in ("not-ready", "unreachable")
]


@pytest.fixture(scope="module")
def hub_more() -> str:
    """Notebooks that outlive what is wrong with their node for a while, as they do in any other cluster."""
    return f"c.KubeSpawner.tolerations = {PATIENT!r}"


@pytest.fixture
def cut(hub_wire: Relay, house: Site) -> Iterator[Relay]:
    """The Hub's way to the API server; it is whole again afterwards."""
    yield hub_wire
    hub_wire.heal()


def runs(person: Visitor, kubectl: Kubectl, profile: str = "gpu2") -> tuple[dict[str, Any], str]:
    """A running notebook: its job and its pod."""
    person.start(profile)
    job = person.job_is("running", within=START_S)
    ((name, _),) = pods_of(kubectl, job["id"])
    return job, name


def stopped_in_vain(person: Visitor, kubectl: Kubectl, cut: Relay) -> tuple[dict[str, Any], str]:
    """A notebook that is stopped when the Hub reaches the cluster no more: its job and its pod."""
    job, name = runs(person, kubectl)
    cut.cut()
    cut.reset()
    person.stop()
    person.job_is("stopping")
    return job, name


def no_pods(kubectl: Kubectl, job: dict[str, Any]) -> None:
    """Wait until a job has no pod; one that has ended holds nothing, and may be listed for a moment more."""
    until(lambda: pods_of(kubectl, job["id"]) == [], within=CLEARED_S, what="its pod is gone")


def ended(person: Visitor, job: dict[str, Any], *, within: float = CLEARED_S) -> str:
    """The job's end, once it has one."""
    person.no_job(within=within)
    return str(person.queue("GET", f"jobs/{job['id']}").json()["job"]["end"])


def test_a_job_that_is_admitted_while_the_hub_is_cut_off_keeps_its_place_and_is_tried_again(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person, cut: Relay
) -> None:
    """It is not withdrawn, and no failure is counted against it."""
    others = [pod(f"other-{node}", own_cluster.images["base"], gpus=8, node=node) for node in own_cluster.nodes]
    for each in others:
        kubectl.apply(each)
        kubectl.until("pod", each["metadata"]["name"], ready, within=60, what="is ready")
    ada = person()
    ada.start("gpu8")
    waits = ada.job_is("queued")
    cut.cut()
    cut.reset()
    for each in others:
        kubectl.delete("pod", each["metadata"]["name"], grace=0)

    def given_up() -> bool:
        events = ada.queue("GET", f"jobs/{waits['id']}/events").json()["events"]
        return any("the cluster does not answer" in each["note"] for each in events)

    until(given_up, within=TRIES_S, what="a launch was given up", story=house.story)
    job = ada.job() or {}
    assert (job.get("id"), job.get("queued"), job.get("failures")) == (waits["id"], waits["queued"], 0)
    cut.heal()

    again = ada.job_is("running", within=TRIES_S + START_S)
    assert (again["id"], again["queued"]) == (waits["id"], waits["queued"])
    assert len(pods_of(kubectl, again["id"])) == 1


def test_a_server_that_is_stopped_while_the_hub_is_cut_off_ends_once_it_is_not(
    house: Site, kubectl: Kubectl, person: Person, cut: Relay
) -> None:
    """The Hub has given up by then, and has no word left of what it was to delete."""
    ada = person()
    job, name = stopped_in_vain(ada, kubectl, cut)

    until(lambda: ada.server() is None, within=TRIES_S, what="the Hub has given up", story=house.story)
    assert kubectl.find("pod", name), "nobody has deleted it"
    cut.heal()

    assert ended(ada, job) == "stopped"
    no_pods(kubectl, job)


def test_a_server_that_is_stopped_while_the_hub_is_cut_off_ends_if_the_hub_dies_as_well(
    house: Site, kubectl: Kubectl, person: Person, cut: Relay
) -> None:
    """The next Hub knows nothing of it, and has made no spawner since it began."""
    ada = person()
    job, _ = stopped_in_vain(ada, kubectl, cut)

    house.hub.kill()
    cut.heal()
    house.hub.start()
    house.wait()

    assert ended(ada, job, within=CLEARED_S + START_S) == "stopped"
    no_pods(kubectl, job)


def test_a_pod_that_reaches_the_cluster_after_its_job_has_ended_goes_away(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """A request to make it may be on its way for long. A pod that this queue does not know is left alone."""
    ada = person()
    job, name = runs(ada, kubectl)
    labels = kubectl.get("pod", name)["metadata"]["labels"]
    marks = {key: value for key, value in labels.items() if key.startswith(KEYS)}
    ada.stop()
    assert ended(ada, job) == "stopped"

    image = own_cluster.images["base"]
    kubectl.apply(pod("late", image, gpus=1, labels=marks))
    kubectl.apply(pod("strange", image, labels={**marks, f"{KEYS}key": "0" * 32}))
    try:
        until(lambda: kubectl.find("pod", "late") is None, within=CLEARED_S, what="it is gone", story=house.story)
        assert "deletionTimestamp" not in kubectl.get("pod", "strange")["metadata"]
    finally:
        kubectl.delete("pod", "strange", grace=0)


def test_an_outage_of_a_minute_with_a_start_a_stop_and_a_wait_in_it_loses_nothing(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """What runs runs on, what was stopped is gone afterwards, who waits starts, and so does who came meanwhile."""
    ada, bob, carol, dan = person(), person(), person(), person()
    stays, _ = runs(ada, kubectl, "gpu8")
    stops, _ = runs(bob, kubectl, "gpu8")
    carol.start("gpu4")
    waits = carol.job_is("queued")
    server = own_cluster.components["apiserver"]

    server.kill()
    begun = time.monotonic()
    bob.stop()
    dan.start("gpu4")
    comes = dan.job_is("queued")
    time.sleep(max(0.0, OUTAGE_S - (time.monotonic() - begun)))
    server.start()
    until(own_cluster.api_ready, within=60, what="the API server answers")

    assert ended(bob, stops, within=2 * CLEARED_S) == "stopped"
    no_pods(kubectl, stops)
    for each, before in ((carol, waits), (dan, comes)):
        started = each.job_is("running", within=START_S)
        assert (started["id"], started["queued"]) == (before["id"], before["queued"])
    now = ada.job() or {}
    assert {key: now.get(key) for key in ("id", "state", "launch", "placement")} == {
        key: stays[key] for key in ("id", "state", "launch", "placement")
    }


def test_a_hub_that_starts_while_the_api_server_is_away_keeps_its_notebooks(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """It asks nobody, so it takes nothing for gone."""
    ada = person()
    job, name = runs(ada, kubectl)
    server = own_cluster.components["apiserver"]

    house.hub.kill()
    server.kill()
    house.hub.start()
    time.sleep(OUTAGE_S)
    server.start()
    until(own_cluster.api_ready, within=60, what="the API server answers")
    house.wait()

    until(lambda: (ada.server() or {}).get("ready"), within=START_S, what="the Hub has it", story=house.story)
    now = ada.job() or {}
    assert (now.get("id"), now.get("state"), now.get("launch")) == (job["id"], "running", job["launch"])
    assert [each for each, _ in pods_of(kubectl, job["id"])] == [name]

"""What takes a notebook's pod away from it, and what becomes of its job: each way has one written outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import LEAD, evict, gpus_of, pod, pods_of, taken

START_S = 120
AGAIN_S = 120  # to be taken away, to wait for one's turn, and to start anew
OUTAGE_S = 25  # four times as long as the cluster waits for its nodes
TAINT = "gpuqueue.test/repair"
Person = Callable[[], Visitor]


def runs(person: Visitor, kubectl: Kubectl, profile: str = "gpu2") -> tuple[dict[str, Any], str]:
    """A running notebook: its job and its pod."""
    person.start(profile)
    job = person.job_is("running", within=START_S)
    ((name, _),) = pods_of(kubectl, job["id"])
    return job, name


def runs_again(person: Visitor, before: dict[str, Any], house: Site) -> dict[str, Any]:
    """Wait until the same job runs in a later launch."""

    def there() -> dict[str, Any] | None:
        job = person.job() or {}
        return job if job.get("state") == "running" and job["launch"] > before["launch"] else None

    job: dict[str, Any] = until(there, within=AGAIN_S, what=f"{person.name} runs again", story=house.story)  # type: ignore[assignment]
    assert (job["id"], job["queued"]) == (before["id"], before["queued"])
    return job


def ended(person: Visitor, job: dict[str, Any], *, within: float = 60) -> tuple[str, str]:
    """The job's end and its message."""
    person.no_job(within=within)
    found = person.queue("GET", f"jobs/{job['id']}").json()["job"]
    return found["end"], found["message"]


def test_an_evicted_notebook_goes_back_to_the_front_and_starts_anew(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """With its number, in front of who waited before; its owner and the admins are told why."""
    ada, bob, carol = person(), person(), person()
    job, name = runs(ada, kubectl, "gpu8")
    runs(bob, kubectl, "gpu8")
    carol.start("gpu8")
    carol.job_is("queued")

    evict(kubectl, name)

    again = runs_again(ada, job, house)
    assert (carol.job() or {})["state"] == "queued"
    assert taken(ada, job) == f"{LEAD} {job['placement']['node']}: somebody cleared that node."
    ((other, node),) = pods_of(kubectl, job["id"])
    assert other != name
    assert gpus_of(own_cluster, other) == (node, 8)
    dana = Visitor(house, "dana").login()
    page = dana.session.get(f"{house.url}/services/gpuqueue/admin", timeout=20).text
    assert f"Job {again['id']} of {ada.name}: {LEAD}" in page


def test_what_was_cleared_from_a_node_waits_for_another_and_reads_why(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """On its pending page; `kubectl drain` closes the node first."""
    ada, bob = person(), person()
    job, name = runs(ada, kubectl, "gpu8")
    runs(bob, kubectl, "gpu8")
    node = job["placement"]["node"]
    own_cluster.kubectl("cordon", node)
    try:
        evict(kubectl, name)

        waits = ada.job_is("queued", within=60)
        words = f"{LEAD} {node}: somebody cleared that node."
        assert waits["message"] == words
        until(lambda: (ada.server() or {}).get("pending") == "spawn", within=60, what="its page shows the wait")
        shown = next(event for event in ada.progress() if event.get("state") == "queued")
        assert shown["back"] == f"{words} Your place is kept."
        assert words in shown["message"]
        bob.stop()
        assert runs_again(ada, job, house)["placement"]["node"] != node
    finally:
        own_cluster.kubectl("uncordon", node)


def test_a_pod_of_a_higher_priority_takes_the_room_and_the_notebook_goes_on_elsewhere(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """By the scheduler, which the queue does not decide over."""
    ada = person()
    job, _ = runs(ada, kubectl, "gpu8")
    node = job["placement"]["node"]
    urgent = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "gpuqueue-test-urgent"},
        "value": 1000,
    }
    own_cluster.kubectl.apply(urgent)
    other = pod("urgent", own_cluster.images["base"], gpus=8, node=node)
    other["spec"]["priorityClassName"] = "gpuqueue-test-urgent"
    kubectl.apply(other)
    try:
        assert runs_again(ada, job, house)["placement"]["node"] != node
        assert taken(ada, job) == f"{LEAD} {node}: something of a higher priority needed its room."
    finally:
        kubectl.delete("pod", "urgent", grace=0)
        own_cluster.kubectl.delete("priorityclass", "gpuqueue-test-urgent")


def test_a_taint_that_ends_what_runs_sends_it_to_another_node(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    ada = person()
    job, _ = runs(ada, kubectl)
    node = job["placement"]["node"]

    own_cluster.kubectl("taint", "node", node, f"{TAINT}=yes:NoExecute")
    try:
        assert runs_again(ada, job, house)["placement"]["node"] != node
        assert taken(ada, job) == f"{LEAD} {node}: that node was closed to it, or did not answer."
    finally:
        own_cluster.kubectl("taint", "node", node, f"{TAINT}-")


def test_an_eviction_while_the_manager_is_down_is_made_good_when_it_is_back(
    house: Site, kubectl: Kubectl, person: Person
) -> None:
    """The pod is gone by then, and with it what said why."""
    ada = person()
    job, name = runs(ada, kubectl)
    house.manager.kill()

    evict(kubectl, name)
    until(lambda: kubectl.find("pod", name) is None, within=60, what="the pod is gone")
    house.manager.start()
    house.wait()

    assert runs_again(ada, job, house)["placement"]
    assert taken(ada, job).startswith((LEAD, "The server was gone from the cluster"))


def test_an_outage_for_longer_than_the_cluster_waits_for_its_nodes_ends_no_notebook(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """Back again, the cluster may give up pods that ran on: they run on, or start anew in their place."""
    ada, bob = person(), person()
    before = [runs(each, kubectl, "gpu8")[0] for each in (ada, bob)]

    own_cluster.components["apiserver"].kill()
    time.sleep(OUTAGE_S)
    own_cluster.components["apiserver"].start()
    own_cluster.whole()

    def settled() -> bool:
        jobs = [each.job() or {} for each in (ada, bob)]
        return all(job.get("state") == "running" and len(pods_of(kubectl, job["id"])) == 1 for job in jobs)

    time.sleep(OUTAGE_S)  # what it gives up it gives up by then
    until(settled, within=AGAIN_S, what="both run", story=house.story)
    assert [(ada.job() or {})["id"], (bob.job() or {})["id"]] == [job["id"] for job in before]


def test_a_pod_that_somebody_deletes_has_been_stopped(kubectl: Kubectl, person: Person) -> None:
    """With kubectl: whoever does that wants this very pod to end."""
    ada = person()
    job, name = runs(ada, kubectl)

    kubectl.delete("pod", name)

    assert ended(ada, job) == ("stopped", "Somebody deleted it in the cluster, not through the queue.")


@pytest.mark.parametrize("manager_is", ["up", "down meanwhile"])
def test_a_notebook_that_ends_by_itself_has_ended(
    manager_is: str, house: Site, kubectl: Kubectl, person: Person
) -> None:
    """Shut down from within: nothing takes it for an eviction."""
    ada = person()
    job, name = runs(ada, kubectl)
    headers = {"Authorization": f"token {ada.token()}"}
    shut_down = f"{house.url}/user/{ada.name}/api/shutdown"
    if manager_is != "up":
        house.manager.kill()

    assert requests.post(shut_down, headers=headers, timeout=20).status_code == 200
    until(
        lambda: (kubectl.find("pod", name) or {"status": {"phase": "Succeeded"}})["status"]["phase"] == "Succeeded",
        within=60,
        what="the notebook has ended",
    )
    if manager_is != "up":
        house.manager.start()
        house.wait()

    assert ended(ada, job, within=120) == ("completed", "It was shut down from within.")

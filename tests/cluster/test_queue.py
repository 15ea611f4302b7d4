"""The queue on a real cluster: who waits, where the pod starts, and that the kubelets agree with the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import gpus_of, pod, pods_of, ready

START_S = 120
NODES = ("dgx1", "dgx2")
Person = Callable[[], Visitor]


@pytest.fixture(scope="module")
def hub_more(own_cluster: Cluster) -> str:
    """A notebook that something is done for first."""
    first: dict[str, Any] = {"name": "first", "image": own_cluster.images["base"], "command": ["sleep", "4"]}
    first["securityContext"] = {"runAsUser": 1000}
    small = {"cpu_guarantee": 0.05, "mem_guarantee": "64M", "init_containers": [first]}
    prepared = {"display_name": "Prepared", "slug": "prepared", "kubespawner_override": small}
    return f"c.QueueingMixin.profile_list += [{prepared!r}]"


def answers(house: Site, who: Visitor) -> bool:
    """Whether the notebook answers through the proxy."""
    headers = {"Authorization": f"token {who.token()}"}
    found = requests.get(f"{house.url}/user/{who.name}/api/status", headers=headers, timeout=10)
    return found.status_code == 200 and "started" in found.json()


def test_a_notebook_starts_where_the_queue_says_with_the_gpus_that_the_kubelet_says(
    house: Site, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """Login, profile, pod, and the notebook through the proxy."""
    ada = person()
    ada.start("gpu4")
    job = ada.job_is("running", within=START_S)

    ((name, node),) = pods_of(kubectl, job["id"])
    assert node == job["placement"]["node"]
    assert gpus_of(own_cluster, name) == (node, 4)
    until(lambda: answers(house, ada), within=30, what="the notebook answers", story=house.story)

    ada.stop()
    ada.no_job(within=60)
    assert pods_of(kubectl, job["id"]) == []


def test_the_page_tells_what_the_cluster_does_with_a_pod_that_starts(person: Person) -> None:
    """It shows the last word: here for as long as something takes before the notebook itself."""
    ada = person()
    ada.start("prepared")

    said = [event["message"] for event in ada.progress(within=START_S)]

    assert "Container started" in said


def test_who_waits_starts_on_the_node_that_came_free_and_nobody_overtakes(
    own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """Two take all sixteen GPUs; a third waits for eight, and a fourth for one, behind the third."""
    ada, bob, carol, dan = person(), person(), person(), person()
    for each in (ada, bob):
        each.start("gpu8")
    held = {each.name: each.job_is("running", within=START_S)["placement"]["node"] for each in (ada, bob)}
    assert set(held.values()) == set(NODES)
    carol.start("gpu8")
    carol.job_is("queued")
    dan.start("gpu1")
    assert pods_of(kubectl, dan.job_is("queued")["id"]) == [], "what waits has no pod"

    bob.stop()

    started = carol.job_is("running", within=START_S)
    assert started["placement"]["node"] == held[bob.name]
    ((name, _),) = pods_of(kubectl, started["id"])
    assert gpus_of(own_cluster, name) == (held[bob.name], 8)
    assert (dan.job() or {})["state"] == "queued"


def test_a_hub_that_is_killed_loses_no_wait_and_no_notebook(house: Site, kubectl: Kubectl, person: Person) -> None:
    """The wait is handed back to it, and the pods that ran run on."""
    ada, bob, carol = person(), person(), person()
    for each in (ada, bob):
        each.start("gpu8")
    running = [each.job_is("running", within=START_S)["id"] for each in (ada, bob)]
    before = [pods_of(kubectl, job) for job in running]
    carol.start("gpu8")
    waits = carol.job_is("queued")

    house.hub.kill()
    house.hub.start()
    house.wait()
    until(
        lambda: (carol.server() or {}).get("pending") == "spawn",
        within=60,
        what="the Hub holds the wait again",
        story=house.story,
    )

    assert [pods_of(kubectl, job) for job in running] == before
    ada.stop()
    assert carol.job_is("running", within=START_S)["id"] == waits["id"]


def test_what_others_take_is_not_given_out(own_cluster: Cluster, kubectl: Kubectl, person: Person) -> None:
    """A pod that no queue knows counts as soon as it is bound; when it is gone the job starts."""
    for node in NODES:
        kubectl.apply(pod(f"other-{node}", own_cluster.images["base"], gpus=5, node=node))
    for node in NODES:
        kubectl.until("pod", f"other-{node}", ready, within=60, what="is ready")
    ada = person()
    ada.start("gpu4")
    ada.job_is("queued")
    assert pods_of(kubectl, (ada.job() or {})["id"]) == []

    kubectl.delete("pod", "other-dgx2", grace=0)

    assert ada.job_is("running", within=START_S)["placement"]["node"] == "dgx2"
    kubectl.delete("pod", "other-dgx1", grace=0)


def test_a_pod_deleted_behind_our_back_ends_its_job_once(kubectl: Kubectl, person: Person) -> None:
    """With kubectl: the GPUs come back, and the job has one end."""
    ada = person()
    ada.start("gpu8")
    job = ada.job_is("running", within=START_S)
    ((name, _),) = pods_of(kubectl, job["id"])

    kubectl.delete("pod", name, grace=0)

    ada.no_job(within=120)
    assert ada.queue("GET", f"jobs/{job['id']}").json()["job"]["end"] == "stopped"


def test_a_launch_that_cannot_work_ends_in_the_cluster_s_words(kubectl: Kubectl, person: Person) -> None:
    """An image that is not there: tried again twice at most, its GPUs given back, the reason on the page."""
    ada = person()
    ada.start("nowhere")

    def found() -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = ada.queue("GET", "jobs", params={"state": "ended"}).json()["jobs"]
        return jobs

    until(found, within=120, what="the job has ended")
    (ended,) = found()
    assert ended["end"] == "failed"
    assert "ErrImageNeverPull" in ended["message"]
    assert pods_of(kubectl, ended["id"]) == []


def test_a_node_that_dies_gives_its_jobs_to_another_and_comes_back_drained(
    own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """Its pod keeps its name and its GPUs until it is seen gone; the job starts elsewhere under another name."""
    ada = person()
    ada.start("gpu2")
    before = ada.job_is("running", within=START_S)
    dead = before["placement"]["node"]
    ((name, _),) = pods_of(kubectl, before["id"])

    own_cluster.nodes[dead].unplug()
    try:

        def elsewhere() -> bool:
            job = ada.job() or {}
            return job.get("state") == "running" and job["placement"]["node"] != dead

        until(elsewhere, within=240, what="the notebook runs on the other node", story=lambda: str(ada.job()))
        pods = dict(pods_of(kubectl, before["id"]))
        assert pods.pop(name) == dead, "the old pod stays until its node says that it is gone"
        assert [*pods.values()] != [dead]
    finally:
        own_cluster.nodes[dead].start()
        own_cluster.whole()

    until(lambda: name not in dict(pods_of(kubectl, before["id"])), within=120, what="the old pod is gone")
    nodes = ada.queue("GET", "nodes").json()["nodes"]
    assert {node["name"]: node["drained"] for node in nodes}[dead] is True

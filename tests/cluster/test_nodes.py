"""Nodes that change under the queue: closed, smaller, removed, renamed, or taken by others in the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.relay import Relay
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import LEAD, gpus_of, pod, pods_of, ready, taken

START_S = 120
Person = Callable[[], Visitor]


@pytest.fixture
def admin(house: Site) -> Visitor:
    """An admin of the queue."""
    return Visitor(house, "dana").login()


@pytest.fixture
def others(own_cluster: Cluster, kubectl: Kubectl) -> Iterator[Callable[[str, int], str]]:
    """Take GPUs of a node as somebody whom no queue knows; returns the pod. All are gone afterwards."""
    made: list[str] = []

    def take(node: str, gpus: int) -> str:
        made.append(f"other-{node}-{len(made)}")
        kubectl.apply(pod(made[-1], own_cluster.images["base"], gpus=gpus, node=node))
        kubectl.until("pod", made[-1], ready, within=60, what="is ready")
        return made[-1]

    yield take
    for name in made:
        kubectl.delete("pod", name, grace=0)


def node(asker: Visitor, name: str) -> dict[str, Any]:
    """What the queue says of a node."""
    found: list[dict[str, Any]] = asker.queue("GET", "nodes").json()["nodes"]
    return next(each for each in found if each["name"] == name)


def states(asker: Visitor, name: str) -> Counter[str]:
    """Of a node's GPUs, how many are in which state, for this person."""
    return Counter(each["state"] for each in node(asker, name)["devices"])


CLOSED = {
    "cordoned": (["cordon", "dgx1"], ["uncordon", "dgx1"]),
    "tainted gpuqueue.test/repair": (
        ["taint", "node", "dgx1", "gpuqueue.test/repair=yes:NoSchedule"],
        ["taint", "node", "dgx1", "gpuqueue.test/repair-"],
    ),
}


@pytest.mark.parametrize("note", CLOSED)
def test_a_closed_node_takes_no_new_job_and_keeps_those_it_has(
    note: str, own_cluster: Cluster, kubectl: Kubectl, person: Person
) -> None:
    """And says why; opened again, it is used at once."""
    close, open_again = CLOSED[note]
    ada, bob = person(), person()
    own_cluster.kubectl(*close)
    try:
        until(lambda: node(ada, "dgx1")["note"] == note, within=15, what=f"dgx1 is {note}")
        ada.start("gpu8")
        assert ada.job_is("running", within=START_S)["placement"]["node"] == "dgx2"
        bob.start("gpu8")
        waits = bob.job_is("queued")
        assert pods_of(kubectl, waits["id"]) == []
    finally:
        own_cluster.kubectl(*open_again)
    runs = bob.job_is("running", within=START_S)
    assert (runs["id"], runs["placement"]["node"]) == (waits["id"], "dgx1")
    pods = pods_of(kubectl, runs["id"])

    own_cluster.kubectl(*close)
    try:
        until(lambda: node(ada, "dgx1")["note"] == note, within=15, what=f"dgx1 is {note}")
        ada.stop()
        ada.no_job(within=60)  # the queue has looked at the nodes since
        assert bob.job_is("running")["id"] == runs["id"]
        assert pods_of(kubectl, runs["id"]) == pods
    finally:
        own_cluster.kubectl(*open_again)


def test_a_node_with_a_gpu_less_gives_out_what_is_left(
    own_cluster: Cluster, kubectl: Kubectl, person: Person, others: Callable[[str, int], str]
) -> None:
    """Whoever has it: the job on it runs on, and the books do not count it among the free ones."""
    others("dgx2", 8)
    ada, bob, carol = person(), person(), person()
    ada.start("gpu4")
    ada.job_is("running", within=START_S)
    ((name, _),) = pods_of(kubectl, (ada.job() or {})["id"])
    own_cluster.nodes["dgx1"].break_gpus(0)
    try:
        until(
            lambda: states(ada, "dgx1") == {"mine": 4, "free": 3, "foreign": 1},
            within=30,
            what="three GPUs are free",
            story=lambda: str(states(ada, "dgx1")),
        )

        bob.start("gpu4")
        waits = bob.job_is("queued")

        assert "The most free on any server is 3" in str(waits["reason"])
        assert gpus_of(own_cluster, name) == ("dgx1", 4)
        bob.stop()
        bob.no_job()
        carol.start("gpu2")
        ((its, _),) = pods_of(kubectl, carol.job_is("running", within=START_S)["id"])
        assert gpus_of(own_cluster, its) == ("dgx1", 2)
    finally:
        own_cluster.nodes["dgx1"].break_gpus()
        own_cluster.whole()
    assert ada.job_is("running")["id"]


def test_gpus_that_others_take_between_admission_and_launch_send_the_job_back_to_its_place(
    kubectl: Kubectl, wire: Relay, person: Person, others: Callable[[str, int], str]
) -> None:
    """The queue is cut off while they do; the scheduler, which it always asks, does not let the pod in."""
    others("dgx2", 8)
    ada, bob = person(), person()
    until(lambda: ada.queue("GET", "queue").ok, within=10, what="the queue answers")
    wire.cut()
    try:
        other = others("dgx1", 6)
        ada.start("gpu4")
        job = ada.job_is("starting", within=30)
        until(lambda: pods_of(kubectl, job["id"]), within=30, what="its pod was made")
    finally:
        wire.heal()

    assert ada.job_is("queued", within=90)["id"] == job["id"]
    until(lambda: not pods_of(kubectl, job["id"]), within=30, what="the pod that found no room is gone")
    bob.start("gpu4")
    kubectl.delete("pod", other, grace=0)

    started = ada.job_is("running", within=START_S)
    assert (started["id"], started["placement"]["node"]) == (job["id"], "dgx1")


def test_a_node_that_is_removed_gives_its_job_to_another_and_may_come_back(
    own_cluster: Cluster, kubectl: Kubectl, person: Person, admin: Visitor
) -> None:
    """The cluster removes the pods of a node that it does not know any more."""
    ada = person()
    ada.start("gpu2")
    before = ada.job_is("running", within=START_S)
    name = before["placement"]["node"]

    own_cluster.kubectl("delete", "node", name)
    try:

        def elsewhere() -> bool:
            job = ada.job() or {}
            return job.get("state") == "running" and job["placement"]["node"] != name

        until(elsewhere, within=180, what="the notebook runs on the other node", story=lambda: str(ada.job()))
        assert (ada.job() or {})["id"] == before["id"]
    finally:
        own_cluster.nodes[name].kubelet.kill()
        own_cluster.nodes[name].kubelet.start()
        own_cluster.whole()
    until(lambda: name in str(admin.queue("GET", "nodes").json()), within=30, what="the queue knows the node again")
    admin.queue("POST", f"nodes/{name}/undrain", body={})
    bob = person()
    bob.start("gpu8")
    assert bob.job_is("running", within=START_S)["placement"]["node"] == name


def test_a_renamed_node_is_a_new_one_and_the_job_of_the_old_one_starts_anew(
    own_cluster: Cluster, kubectl: Kubectl, person: Person, admin: Visitor
) -> None:
    """The cluster knows no renaming: a node of the new name joins, and whoever does it removes the old one.

    What calls itself otherwise (the label `kubernetes.io/hostname`) is found by its name all the same.
    """
    ada, bob, carol = person(), person(), person()
    for each in (ada, bob):
        each.start("gpu8")
    before, _ = (each.job_is("running", within=START_S) for each in (ada, bob))
    carol.start("gpu2")
    waits = carol.job_is("queued")
    old = before["placement"]["node"]
    new = f"{old}.renamed.example"

    own_cluster.nodes[old].rename(new)
    own_cluster.kubectl("delete", "node", old)
    try:
        own_cluster.kubectl.until("node", new, ready, within=60, what="has joined")
        own_cluster.kubectl("label", "node", new, "kubernetes.io/hostname=another", "--overwrite")
        runs = carol.job_is("running", within=START_S)

        assert (runs["id"], runs["placement"]["node"]) == (waits["id"], new)
        ((name, where),) = pods_of(kubectl, runs["id"])
        assert where == new
        assert gpus_of(own_cluster, name) == (own_cluster.nodes[old].name, 2)
        back = ada.job_is("queued", within=180)
        assert (back["id"], back["queued"]) == (before["id"], before["queued"])
        why = "that node is not part of the cluster any more"
        assert taken(ada, back) == f"{LEAD} {old}: {why}."
        assert old not in [each["name"] for each in admin.queue("GET", "nodes").json()["nodes"]]

        carol.stop()
        again = ada.job_is("running", within=START_S)
        assert (again["id"], again["placement"]["node"]) == (before["id"], new)
        assert len(pods_of(kubectl, again["id"])) == 1
        ada.stop()
        ada.no_job(within=60)
    finally:
        own_cluster.nodes[old].rename(old)
        own_cluster.kubectl("delete", "node", new)
        own_cluster.whole()
    until(lambda: old in str(admin.queue("GET", "nodes").json()), within=30, what="the queue knows the node again")
    admin.queue("POST", f"nodes/{old}/undrain", body={})

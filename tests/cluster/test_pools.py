"""Kinds of nodes: a profile's jobs go to the nodes that its pods demand, and to no node that keeps them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import profile, queue_on
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import gpus_of, pods_of

START_S = 120
LABEL, TAINT = "gpuqueue.test/pool", "gpuqueue.test/dedicated"


def variant(slug: str, gpus: int, **override: Any) -> dict[str, Any]:
    """A profile that says more of its nodes."""
    usual = profile(gpus)
    return {
        **usual,
        "slug": slug,
        "display_name": slug,
        "kubespawner_override": usual["kubespawner_override"] | override,
    }


EITHER = [
    {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
    for key, value in ((LABEL, "a100"), ("kubernetes.io/hostname", "dgx1"))
]
PROFILES = [
    profile(8),
    profile(1),
    variant("pool8", 8, node_selector={LABEL: "a100"}),
    variant("pool1", 1, node_selector={LABEL: "a100"}),
    variant("tolerant1", 1, tolerations=[{"key": TAINT, "operator": "Exists", "effect": "NoSchedule"}]),
    variant("either1", 1, node_affinity_required=EITHER),
    variant("nowhere", 1, node_selector={LABEL: "h100"}),
]


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, kubectl: Kubectl) -> Iterator[Site]:
    """A site with profiles for kinds of nodes; dgx2 is of a kind of its own."""
    own_cluster.kubectl("label", "node", "dgx2", f"{LABEL}=a100")
    try:
        hub = f"c.QueueingMixin.profile_list = {PROFILES!r}"
        with queue_on(own_cluster, kubectl, hub_more=hub, manager_more="c.Policy.queued_jobs = 0") as it:
            yield it
    finally:
        own_cluster.kubectl("label", "node", "dgx2", f"{LABEL}-")


def test_a_profile_with_a_node_selector_goes_to_its_nodes_and_waits_for_them(
    own_cluster: Cluster, kubectl: Kubectl, person: Callable[[], Visitor]
) -> None:
    """Though another node, which the queue would take first, is free all the time."""
    ada, bob = person(), person()
    ada.start("pool8")
    first = ada.job_is("running", within=START_S)
    ((name, _),) = pods_of(kubectl, first["id"])
    assert gpus_of(own_cluster, name) == ("dgx2", 8)

    bob.start("pool1")
    waits = bob.job_is("queued")

    assert waits["reason"]["lead"] == "Waits for 1 free GPU."
    assert waits["reason"]["proof"] == "None is free on any server it can use."
    assert waits["start"] == pytest.approx(ada.job_is("running")["ends"], abs=5)
    assert pods_of(kubectl, waits["id"]) == []
    ada.stop()
    runs = bob.job_is("running", within=START_S)
    assert (runs["id"], runs["placement"]["node"]) == (waits["id"], "dgx2")


def test_each_of_several_ways_to_match_leads_to_the_node_that_was_planned(
    own_cluster: Cluster, kubectl: Kubectl, person: Callable[[], Visitor]
) -> None:
    """A node has to match one of the site's terms; the scheduler is left none by which another one would."""
    ada, bob = person(), person()

    for each in (ada, bob):  # the queue fills a node up first, and the scheduler would rather spread them
        each.start("either1")
    jobs = [each.job_is("running", within=START_S) for each in (ada, bob)]

    for job in jobs:
        ((name, node),) = pods_of(kubectl, job["id"])
        required = kubectl.get("pod", name)["spec"]["affinity"]["nodeAffinity"]
        here = [{"key": "metadata.name", "operator": "In", "values": [node]}]
        assert node == job["placement"]["node"]
        assert gpus_of(own_cluster, name) == (node, 1)
        assert required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] == [
            {**term, "matchFields": here} for term in EITHER
        ]


def test_a_profile_of_a_kind_that_there_is_not_is_refused_at_once(person: Callable[[], Visitor]) -> None:
    """With what it asks for."""
    ada = person()

    ada.start("nowhere")

    last = list(ada.progress())[-1]
    assert last["failed"]
    assert f"there is no server of the kind that it asks for ({LABEL}=h100)" in last["message"]
    assert ada.job() is None


def test_a_tainted_node_is_used_by_those_who_tolerate_it_and_by_nobody_else(
    own_cluster: Cluster, kubectl: Kubectl, person: Callable[[], Visitor]
) -> None:
    """Those whom it keeps out wait, and are told of the taint where nothing else would do."""
    ada, bob, carol = person(), person(), person()
    own_cluster.kubectl("taint", "node", "dgx1", f"{TAINT}=vision:NoSchedule")
    try:

        def tainted() -> bool:
            nodes = ada.queue("GET", "nodes").json()["nodes"]
            return {"dgx1": f"tainted {TAINT}", "dgx2": ""} == {each["name"]: each["note"] for each in nodes}

        until(tainted, within=15, what="the queue knows of the taint")
        ada.start("gpu8")
        assert ada.job_is("running", within=START_S)["placement"]["node"] == "dgx2"
        bob.start("gpu1")
        waits = bob.job_is("queued")
        assert waits["reason"]["proof"] == "None is free on any server it can use."

        bob.stop()
        bob.no_job(within=60)
        carol.start("tolerant1")
        runs = carol.job_is("running", within=START_S)
        ((name, _),) = pods_of(kubectl, runs["id"])
        assert gpus_of(own_cluster, name) == ("dgx1", 1)
    finally:
        own_cluster.kubectl("taint", "node", "dgx1", f"{TAINT}-")

    bob.start("gpu1")
    assert bob.job_is("running", within=START_S)["placement"]["node"] == "dgx1"

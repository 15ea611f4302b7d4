"""One cluster for the whole session: it takes a quarter of a minute to come up. Tests have names of their own in it.

A module that uses `house` has a site of its own in a namespace of its own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services.kubernetes import existing
from tests.services.kubernetes.chart import Installed
from tests.services.kubernetes.cluster import Cluster, cluster
from tests.services.kubernetes.images import RECIPES, images
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import queue_on
from tests.services.kubernetes.relay import Relay
from tests.services.site import Site
from tests.services.visitor import Visitor


@pytest.fixture(scope="session")
def any_cluster() -> Iterator[Cluster]:
    """A cluster of our own, or the one that GPUQUEUE_TEST_KUBECONFIG names."""
    named = os.environ.get("GPUQUEUE_TEST_KUBECONFIG")
    if named:
        yield existing.cluster(Path(named), RECIPES)
        return
    built = images()
    references = built.provide(*RECIPES)  # before the network changes: inside, no registry is reached
    with cluster(built, references) as it:
        yield it


@pytest.fixture(scope="session")
def own_cluster(any_cluster: Cluster) -> Cluster:
    """A cluster whose machines may be hurt, with two nodes of eight GPUs."""
    if not any_cluster.nodes:
        pytest.skip("needs a cluster of its own, and GPUQUEUE_TEST_KUBECONFIG names another one")
    return any_cluster


_numbers = itertools.count(1)


@pytest.fixture
def namespace(any_cluster: Cluster) -> Iterator[Callable[[], Kubectl]]:
    """Make namespaces that no other test knows; they are deleted afterwards, with everything in them."""
    made: list[Kubectl] = []

    def make() -> Kubectl:
        name = f"gpuqueue-test-{os.getpid()}-{next(_numbers)}"
        any_cluster.kubectl("create", "namespace", name)
        made.append(any_cluster.kubectl.within(name))
        return made[-1]

    yield make
    for kubectl in made:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


# ---- a queue on the cluster ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kubectl(own_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """Where a module's notebooks are."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    own_cluster.kubectl("create", "namespace", name)
    yield own_cluster.kubectl.within(name)
    own_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def wire(own_cluster: Cluster) -> Iterator[Relay]:
    """The manager's way to the API server."""
    it = Relay()
    yield it
    it.close()


@pytest.fixture(scope="module")
def hub_wire(own_cluster: Cluster) -> Iterator[Relay]:
    """The Hub's way to the API server."""
    it = Relay()
    yield it
    it.close()


@pytest.fixture(scope="module")
def hub_more() -> str:
    """What a module adds to its Hub's configuration."""
    return ""


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, kubectl: Kubectl, wire: Relay, hub_wire: Relay, hub_more: str) -> Iterator[Site]:
    """One site for all tests of a module; each has people of its own."""
    ways = {
        "manager_kubeconfig": wire.kubeconfig(kubectl.kubeconfig),
        "hub_kubeconfig": hub_wire.kubeconfig(kubectl.kubeconfig),
    }
    try:
        with queue_on(own_cluster, kubectl, **ways, hub_more=hub_more, manager_more="c.Policy.queued_jobs = 0") as it:
            yield it
    finally:
        own_cluster.mend()  # whatever a test that failed has left


@pytest.fixture
def person(house: Site | Installed) -> Iterator[Callable[..., Visitor]]:
    """Somebody of a name, or whom no other test knows; everything of theirs ends with the test."""
    made: list[Visitor] = []

    def make(name: str = "") -> Visitor:
        made.append(Visitor(house, name or f"person{next(_numbers)}").login())
        return made[-1]

    yield make
    if isinstance(house, Site):
        house.start()
    for each in made:
        for job in each.queue("GET", "jobs").json().get("jobs", []):
            each.queue("POST", f"jobs/{job['id']}/stop", body={})
    for each in made:
        each.all_ended(within=120)

"""One cluster for the whole session: it takes a quarter of a minute to come up. Tests have names of their own in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services.kubernetes import existing
from tests.services.kubernetes.cluster import Cluster, cluster
from tests.services.kubernetes.images import images
from tests.services.kubernetes.kubectl import Kubectl

IMAGES = ("hub", "proxy", "manager", "notebook")


@pytest.fixture(scope="session")
def any_cluster() -> Iterator[Cluster]:
    """A cluster of our own, or the one that GPUQUEUE_TEST_KUBECONFIG names."""
    named = os.environ.get("GPUQUEUE_TEST_KUBECONFIG")
    if named:
        yield existing.cluster(Path(named), IMAGES)
        return
    built = images()
    references = built.provide(*IMAGES)  # before the network changes: inside, no registry is reached
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

"""The chart installed in a real cluster: Hub, proxy and two managers as pods, and notebooks that wait in their queue."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.services.database import running
from tests.services.kubernetes.chart import NOTEBOOKS, RELEASE, Installed, Networked, chart_in
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.queue import KEYS
from tests.services.program import until
from tests.services.visitor import Visitor

from .objects import ready

START_S = 180
Person = Callable[[], Visitor]


@pytest.fixture(scope="module")
def house(own_cluster: Cluster) -> Iterator[Installed]:
    """The chart with its queue in a PostgreSQL, which lets two managers take turns."""
    with running(Networked, "pg-") as server:
        server.make("gpuqueue")
        with chart_in(own_cluster, "chart", database=server.address_for_pods("gpuqueue")) as it:
            yield it


_names = itertools.count(1)


@pytest.fixture
def person(house: Installed) -> Iterator[Person]:
    """Somebody whom no other test knows; everything of theirs ends with the test."""
    made: list[Visitor] = []

    def make() -> Visitor:
        made.append(Visitor(house, f"reader{next(_names)}").login())
        return made[-1]

    yield make
    for each in made:
        for job in each.queue("GET", "jobs").json().get("jobs", []):
            each.queue("POST", f"jobs/{job['id']}/stop", body={})
    for each in made:
        each.all_ended(within=120)


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

"""KubeSpawner as it is, in the same cluster: what its users meet where ours wait. For the record in the documentation.

Should one of these fail, KubeSpawner has become better, and the page that tells of it must change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import profile, queue_on
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import pod, ready

START_TIMEOUT_S = 30  # 60 unless set, 300 with Zero to JupyterHub
HTTP_TIMEOUT_S = 40  # 30 unless set; long enough for a pod to come up within it on a busy machine
STOCK = f"""
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.init_spawners_timeout = 1
c.KubeSpawner.start_timeout = {START_TIMEOUT_S}
c.KubeSpawner.http_timeout = {HTTP_TIMEOUT_S}
c.KubeSpawner.profile_list = {[profile(gpus) for gpus in (2, 8)]!r}
"""


@pytest.fixture(scope="module")
def stock(own_cluster: Cluster, kubectl: Kubectl) -> Iterator[Site]:
    """A Hub whose spawner knows no queue."""
    with queue_on(own_cluster, kubectl, hub_more=STOCK) as it:
        yield it


@pytest.fixture
def person(stock: Site) -> Iterator[Callable[[str], Visitor]]:
    """Somebody whose server is stopped afterwards."""
    made: list[Visitor] = []

    def make(name: str) -> Visitor:
        made.append(Visitor(stock, name).login())
        return made[-1]

    yield make
    for each in made:
        each.stop()
        until(lambda each=each: each.server() is None, within=60, what=f"{each.name} has no server", story=stock.story)


@pytest.fixture
def full(own_cluster: Cluster, kubectl: Kubectl) -> Iterator[None]:
    """Nobody can have a GPU: `two` has two of one node, others have the rest."""
    taken = {"eight": ("dgx1", 8), "six": ("dgx2", 6), "two": ("dgx2", 2)}
    for name, (node, gpus) in taken.items():
        kubectl.apply(pod(name, own_cluster.images["base"], gpus=gpus, node=node))
    for name in taken:
        kubectl.until("pod", name, ready, within=60, what="is ready")
    yield
    for name in taken:
        kubectl.delete("pod", name, grace=0)


def is_ready(who: Visitor) -> bool:
    """Whether the Hub answers, and calls the server ready."""
    with contextlib.suppress(requests.RequestException):
        return bool((who.server() or {}).get("ready"))
    return False


@pytest.mark.usefixtures("full")
def test_a_later_small_request_overtakes_and_the_first_fails_without_a_reason(
    kubectl: Kubectl, person: Callable[[str], Visitor]
) -> None:
    early, late = person("early"), person("late")
    early.start("gpu8")
    late.start("gpu2")
    said = early.progress(within=START_TIMEOUT_S + 30)
    next(event for event in said if "Insufficient nvidia.com/gpu" in event["message"])

    kubectl.delete("pod", "two", grace=0)
    until(lambda: is_ready(late), within=START_TIMEOUT_S, what="the later one starts")
    assert not is_ready(early)

    *others, last = said
    assert not any("failed" in event for event in others)
    # Which of two time limits of about the same length ends it is a matter of chance; neither says why.
    whose = f"pod {kubectl.namespace}/jupyter-early did not start in {START_TIMEOUT_S} seconds!"
    assert last in [{"progress": 100, "failed": True, "message": f"Spawn failed: {words}"} for words in ("", whose)]


@pytest.mark.usefixtures("full")
def test_a_killed_hub_deletes_the_pod_that_comes_up_while_it_looks_for_it(
    stock: Site, kubectl: Kubectl, person: Callable[[str], Visitor]
) -> None:
    """The address of a server is stored when it has started; until then the Hub has one of its own making.

    What runs when the Hub comes back is found. Of what still waits it looks for that address, for `http_timeout`, and
    once that is over it deletes the pod, whatever has become of it.
    """
    before, after = person("before"), person("after")
    after.start("gpu8")
    before.start("gpu2")
    for each in ("after", "before"):
        kubectl.until("pod", f"jupyter-{each}", lambda it: not ready(it), within=START_TIMEOUT_S, what="waits")
    stock.hub.kill()
    kubectl.delete("pod", "two", grace=0)
    kubectl.until("pod", "jupyter-before", ready, within=60, what="runs before the Hub is back")

    stock.hub.start()
    until(lambda: is_ready(before), within=60, what="the Hub found it", story=stock.story)
    assert (after.server() or {})["pending"] == "check"
    kubectl.delete("pod", "eight", grace=0)
    came_up = kubectl.until("pod", "jupyter-after", ready, within=HTTP_TIMEOUT_S, what="runs")

    until(lambda: after.server() is None, within=HTTP_TIMEOUT_S + 30, what="the Hub gave up", story=stock.story)
    assert came_up["metadata"]["uid"] not in [each["metadata"]["uid"] for each in kubectl.all("pods")]
    assert "after does not appear to be running at" in stock.hub.log.read_text()
    assert is_ready(before)

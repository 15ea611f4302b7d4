"""KubeSpawner as it is, in the same cluster: what its users meet where ours wait. For the record in the documentation.

Should one of these fail, KubeSpawner has become better, and the page that tells of it must change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import profile, queue_on
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

from .objects import pod, ready

START_TIMEOUT_S = 30  # 60 unless set, 300 with Zero to JupyterHub
STOCK = f"""
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.start_timeout = {START_TIMEOUT_S}
c.KubeSpawner.http_timeout = 30
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
    """Whether the Hub calls the server ready."""
    return bool((who.server() or {}).get("ready"))


@pytest.mark.usefixtures("full")
def test_a_later_small_request_overtakes_and_the_first_fails_without_a_reason(
    kubectl: Kubectl, person: Callable[[str], Visitor]
) -> None:
    early, late = person("early"), person("late")
    early.start("gpu8")
    late.start("gpu2")
    said = early.progress(within=START_TIMEOUT_S + 30)

    kubectl.delete("pod", "two", grace=0)
    until(lambda: is_ready(late), within=START_TIMEOUT_S, what="the later one starts")
    assert not is_ready(early)

    last = [event for event in said if event.get("failed")][-1]["message"]
    # Which of two time limits of the same length ends it is a matter of chance; neither says why.
    assert last.strip() == "Spawn failed:" or f"did not start in {START_TIMEOUT_S} seconds" in last
    assert "Insufficient" not in last

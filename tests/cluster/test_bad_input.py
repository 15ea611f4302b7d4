"""What a site may get wrong with a cluster: refused or survived, in words that name it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import queue_on
from tests.services.program import until
from tests.services.site import PREFIX, Site
from tests.services.visitor import Visitor

from .objects import pod

GPU = "nvidia.com/gpu"
START_S = 120
Person = Callable[..., Visitor]


def asking(slug: str, **override: Any) -> dict[str, Any]:
    return {"display_name": slug, "slug": slug, "kubespawner_override": {"cpu_guarantee": 0.05, **override}}


PROFILES = [
    asking("fpga", extra_resource_limits={"example.com/fpga": "1"}),
    asking("half", extra_resource_limits={GPU: "0.5"}),
    asking("above", mem_guarantee="16G", mem_limit="8G"),
    asking("unlike", extra_resource_guarantees={GPU: "1"}, extra_resource_limits={GPU: "2"}),
    asking("A100.Two-x", mem_guarantee="64M", extra_resource_limits={GPU: "2"}),
    asking("badname", image="No Image At All"),
    asking("nopull", image="registry.invalid/nothing:1", image_pull_policy="IfNotPresent"),
]


@pytest.fixture(scope="module")
def kubectl(own_cluster: Cluster) -> Iterator[Kubectl]:
    """Where the notebooks are."""
    own_cluster.kubectl("create", "namespace", "bad-input")
    yield own_cluster.kubectl.within("bad-input")
    own_cluster.kubectl("delete", "namespace", "bad-input", "--wait=false")


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, kubectl: Kubectl) -> Iterator[Site]:
    with queue_on(own_cluster, kubectl, hub_more=f"c.QueueingMixin.profile_list += {PROFILES!r}") as it:
        yield it


def problem(house: Site) -> str:
    """What the manager says is wrong."""
    return str(requests.get(house.manager_url + PREFIX + "health", timeout=5).json()["problem"])


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("fpga", ["Fits nowhere", "example.com/fpga"]),
        ("half", [GPU, "'0.5'", "a whole number of GPUs"]),
        ("above", ["requests.memory of container notebook", "at most its limit"]),
        ("unlike", [f"requests.{GPU} of container notebook", "'1'", "the same as its limit, 2"]),
    ],
)
def test_what_can_never_start_is_refused_at_once_in_words(
    profile: str, words: list[str], kubectl: Kubectl, person: Person
) -> None:
    """Field, value, what is allowed; nobody waits for it, and no pod is made."""
    ada = person()
    ada.start(profile)

    last = list(ada.progress())[-1]

    assert last["failed"], last
    assert [each for each in words if each not in last["message"]] == [], last["message"]
    assert ada.job() is None
    assert kubectl.all("pods", labels=f"hub.jupyter.org/username={ada.name}") == []


@pytest.mark.parametrize(
    "resources",
    [
        {"requests": {"memory": "16Gi"}, "limits": {"memory": "8Gi"}},
        {"requests": {GPU: "1"}, "limits": {GPU: "2"}},
        {"requests": {GPU: "1"}},
        {"limits": {GPU: "0.5"}},
    ],
)
def test_the_api_server_would_have_refused_the_same(
    resources: dict[str, Any], own_cluster: Cluster, kubectl: Kubectl
) -> None:
    wanted = pod("impossible", own_cluster.images["base"])
    wanted["spec"]["containers"][0]["resources"] = resources
    given = json.dumps(wanted)

    with pytest.raises(AssertionError, match=r"(?i)invalid"):
        kubectl("create", "--dry-run=server", "-f", "-", text=given)


@pytest.mark.parametrize(("profile", "words"), [("badname", "InvalidImageName"), ("nopull", "ImagePull")])
def test_an_image_that_is_none_or_cannot_be_pulled_ends_in_the_cluster_s_words(
    profile: str, words: str, person: Person
) -> None:
    """Its GPUs come back, and the reason stays with the job."""
    ada = person()
    ada.start(profile)

    def over() -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = ada.queue("GET", "jobs", params={"state": "ended"}).json()["jobs"]
        return jobs

    until(over, within=240, what="its job has ended", story=lambda: str(ada.job()))
    (ended,) = over()
    assert ended["end"] == "failed"
    assert words in ended["message"]


def test_a_slug_with_capitals_dots_and_dashes_starts_like_any_other(kubectl: Kubectl, person: Person) -> None:
    ada = person()
    ada.start("A100.Two-x")

    job = ada.job_is("running", within=START_S)

    assert job["resources"]["gpus"] == {GPU: 2}


def test_a_node_without_a_capacity_gives_nothing_and_blinds_nobody(
    own_cluster: Cluster, house: Site, person: Person
) -> None:
    """Its name has dots and dashes; it can be drained like any other. Capitals no cluster takes."""
    name = "dgx-3.a-b.campus.example"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    capital = {**node, "metadata": {"name": "DGX-3"}}
    with pytest.raises(AssertionError, match="DGX-3"):
        own_cluster.kubectl.apply(capital)
    own_cluster.kubectl.apply(node)
    dana = person("dana")
    try:

        def seen() -> dict[str, Any]:
            nodes = dana.queue("GET", "nodes").json()["nodes"]
            return {each["name"]: each for each in nodes}

        until(lambda: name in seen(), within=30, what="the queue sees it")
        drained = dana.queue("POST", f"nodes/{name}/drain", body={"note": "not yet"})
        assert drained.status_code == 200, drained.text
        assert seen()[name]["drained"] is True
        ada = person()
        ada.start("gpu1")
        assert ada.job_is("running", within=START_S)["placement"]["node"] in own_cluster.nodes
    finally:
        dana.queue("POST", f"nodes/{name}/undrain", body={})
        own_cluster.kubectl("delete", "node", name)


def test_a_cluster_that_is_away_at_start_is_waited_for(own_cluster: Cluster, house: Site, person: Person) -> None:
    """The manager comes up, says so, admits nobody, and goes on by itself."""
    ada = person()
    house.manager.stop()
    own_cluster.components["apiserver"].kill()
    try:
        house.manager.start()
        until(lambda: "cluster" in _quietly(house), within=60, what="the manager says what is away", story=house.story)
        ada.start("gpu1")
        waits = ada.job_is("queued", within=60)
        assert waits["reason"]["code"] == "capacity-unknown"
    finally:
        own_cluster.components["apiserver"].start()
        own_cluster.whole()

    assert ada.job_is("running", within=START_S)["id"] == waits["id"]
    until(lambda: not problem(house), within=60, what="nothing is wrong any more")


def test_a_kubeconfig_that_is_wrong_or_has_ended_is_told_and_a_new_one_taken(
    own_cluster: Cluster, house: Site, tmp_path: Path
) -> None:
    """Without a restart: whoever renews it has mended it."""
    assert own_cluster.authority
    late = own_cluster.authority.kubeconfig("ended", "late", own_cluster.server, group="system:masters", ended=True)
    token = json.loads(late.read_text())
    token["users"][0]["user"] = {"token": "nobody-s"}
    named = tmp_path / "kubeconfig"
    named.write_text("no: [yaml")
    config = house.folder / "manager_config.py"
    whole = config.read_text()
    house.manager.stop()
    config.write_text(f"{whole}\nc.KubernetesCapacity.kubeconfig = {str(named)!r}\n")
    try:
        house.manager.start()
        for content, words in (
            (None, "how to reach it cannot be read"),
            (json.dumps(token), "does not accept this login"),
            (late.read_text(), "client certificate ended on"),
        ):
            if content is not None:
                named.write_text(content)
            until(lambda words=words: words in _quietly(house), within=60, what=words, story=lambda: _quietly(house))
        shutil.copy(own_cluster.kubectl.kubeconfig, named)
        until(lambda: _quietly(house) == "", within=60, what="all is well", story=lambda: _quietly(house))
    finally:
        house.manager.stop()
        config.write_text(whole)
        house.manager.start()
        house.wait()


def _quietly(house: Site) -> str:
    try:
        return problem(house)
    except requests.RequestException:
        return "it does not answer yet"

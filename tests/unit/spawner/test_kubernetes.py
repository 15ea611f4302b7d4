"""What a notebook's pod asks for, as the queue reads it, and what is added to it: without a cluster."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionError
from kubernetes_asyncio.client import ApiException

from gpuqueue_spawner.model import Constraints, Resources, Taint
from gpuqueue_spawner.spawner.errors import InvalidOption, LaunchFailed
from gpuqueue_spawner.spawner.form import ENTERED, EXACT, render_form
from gpuqueue_spawner.spawner.jobs import JobView, Permit
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

from .kubespawners import no_cluster, spawner

GPU = "nvidia.com/gpu"
KEY = "9f86d081884c7d659a2feaa0c55ad015"
GIB = 2**30


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_cluster(tmp_path, monkeypatch)


PROFILES = [
    {"display_name": "CPU", "slug": "cpu", "default": True, "kubespawner_override": {"cpu_guarantee": 2}},
    {
        "display_name": "GPU",
        "slug": "gpu",
        "kubespawner_override": {"extra_resource_limits": {GPU: "4"}, "mem_limit": "8G", "cpu_guarantee": 1.5},
    },
    {"display_name": "Half", "slug": "half", "kubespawner_override": {"extra_resource_limits": {GPU: "0.5"}}},
]


async def wishes(**config: Any) -> Resources:
    return (await spawner(**config).wish()).resources


POOL = {"display_name": "A100", "slug": "a100", "kubespawner_override": {"node_selector": {"pool": "a100"}}}


async def test_what_a_profile_demands_of_a_node_is_read_off_the_manifest() -> None:
    """The site's own demands beside the profile's, and what a hook adds."""

    def hook(_: Any, pod: Any) -> Any:
        pod.spec.tolerations.append({"key": "hook", "operator": "Exists"})
        return pod

    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    it = spawner(
        profile_list=[*PROFILES, POOL],
        options={"profile": "a100"},
        node_affinity_required=[term],
        tolerations=[{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}],
        modify_pod_hook=hook,
    )

    demand = (await it.wish()).constraints

    assert demand.select("dgx1", {"pool": "a100", "zone": "a"})
    assert not demand.select("dgx1", {"pool": "a100", "zone": "b"})
    assert not demand.select("dgx1", {"zone": "a"})
    assert demand.kept_out_by([Taint(key=GPU), Taint(key="hook"), Taint(key="other")]) == (Taint(key="other"),)


async def test_the_form_asks_for_waits_on_the_nodes_that_each_profile_demands(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the site's settings and the profile's, for every choice and for what is entered."""
    it = spawner(profile_list=[*PROFILES[:2], POOL], tolerations=[{"key": GPU, "operator": "Exists"}])
    bodies: list[Any] = []

    async def post(path: str, body: Any, *, within: float) -> dict[str, Any]:
        bodies.append(body)
        return {}

    monkeypatch.setattr(GPUQueueKubeSpawner, "queue", SimpleNamespace(post=post))
    it.handler = SimpleNamespace(request=SimpleNamespace(headers={ENTERED: "profile=a100"}))

    await render_form(it)

    demands = {
        choice["key"]: Constraints.of_document(choice["constraints"]) for body in bodies for choice in body["choices"]
    }
    assert {key: dict(demand.selector) for key, demand in demands.items()} == {
        "cpu": {},
        "gpu": {},
        "a100": {"pool": "a100"},
        EXACT: {"pool": "a100"},
    }
    assert all(not demand.kept_out_by([Taint(key=GPU)]) for demand in demands.values())


async def test_a_profile_is_read_off_the_manifest_that_it_leads_to() -> None:
    """Guarantees count; where there is none, the limit does."""
    assert await wishes(profile_list=PROFILES) == Resources(cpus=2, memory=0, others={"pods": 1})
    wanted = Resources(cpus=1.5, memory=8 * GIB, gpus={GPU: 4}, others={"pods": 1})
    assert await wishes(profile_list=PROFILES, options={"profile": "gpu"}) == wanted


async def test_whatever_the_configuration_and_a_hook_add_counts() -> None:
    """Init containers, sidecars, and what a hook makes of the pod."""

    def hook(_: Any, pod: Any) -> Any:
        pod.spec.overhead = {"cpu": "500m"}
        return pod

    resources = await wishes(
        cpu_guarantee=1,
        modify_pod_hook=hook,
        init_containers=[{"name": "stage", "image": "x", "resources": {"requests": {"memory": "3Gi"}}}],
        extra_containers=[{"name": "logs", "image": "x", "resources": {"requests": {"cpu": "250m"}}}],
    )

    assert resources == Resources(cpus=1.75, memory=3 * GIB, others={"pods": 1})


async def test_part_of_a_gpu_is_refused_with_its_name() -> None:
    """Before it waits for hours: no cluster takes it."""
    with pytest.raises(InvalidOption) as error:
        await wishes(profile_list=PROFILES, options={"profile": "half"})
    assert GPU in str(error.value)


async def test_more_than_its_limit_is_refused_with_field_value_and_limit() -> None:
    """In a form of KubeSpawner's: a guarantee above the limit."""
    with pytest.raises(InvalidOption) as error:
        await wishes(mem_guarantee="16G", mem_limit="8G")
    assert "requests.memory of container notebook is 17179869184; allowed is at most its limit, 8589934592" in str(
        error.value
    )


@pytest.mark.parametrize("slug", ["A100.Four-x", "UPPER", "a--b..c", "four"])
async def test_a_profile_s_slug_may_have_capitals_dots_and_dashes(slug: str) -> None:
    """Two that differ by case only are two."""
    profiles = [
        {"display_name": "Other", "slug": slug.swapcase(), "kubespawner_override": {"cpu_guarantee": 7}},
        {"display_name": "It", "slug": slug, "kubespawner_override": {"cpu_guarantee": 3}},
    ]

    assert (await wishes(profile_list=profiles, options={"profile": slug})).cpus == 3


def permitted(it: GPUQueueKubeSpawner, node: str = "dgx2") -> Permit:
    view = JobView.of_document({"id": 7, "key": KEY, "state": "starting", "version": 4, "placement": {"node": node}})
    permit = Permit(job=view, launch=2, ticket="t", environment={"GPUQUEUE_JOB": f"0123456789abcdef/{KEY}/2"})
    it._permit = dataclasses.replace(permit)
    return permit


async def test_the_pod_is_marked_and_pinned_whatever_the_site_s_affinity_is() -> None:
    """By the name of the node, beside the site's own demands; its labels stay."""
    term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a100"]}]}
    it = spawner(node_affinity_required=[term], extra_labels={"team": "vision"}, extra_annotations={"a": "b"})
    permitted(it)
    made: list[dict[str, Any]] = []

    class Api:
        api_client = it.api.api_client

        async def create_namespaced_pod(self, namespace: str, pod: Any) -> None:
            made.append(self.api_client.sanitize_for_serialization(pod))

    it.api = Api()
    manifest = await it.get_pod_manifest()
    assert await it._make_create_pod_request(manifest, 3)
    assert await it._make_create_pod_request(manifest, 3), "tried again after a time-out"

    labels = made[-1]["metadata"]["labels"]
    required = made[-1]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    here = {"key": "metadata.name", "operator": "In", "values": ["dgx2"]}
    assert {
        "team": "vision",
        "gpuqueue.jupyter.org/launch": "2",
        "gpuqueue.jupyter.org/job": "7",
    }.items() <= labels.items()
    assert {
        "a": "b",
        "gpuqueue.jupyter.org/key": KEY,
        "gpuqueue.jupyter.org/job": "7",
        "gpuqueue.jupyter.org/launch": "2",
        "gpuqueue.jupyter.org/user": "mock@name",
        "gpuqueue.jupyter.org/server": "",
    }.items() <= made[-1]["metadata"]["annotations"].items()
    assert required["nodeSelectorTerms"] == [{**term, "matchFields": [here]}]
    assert "nodeName" not in made[-1]["spec"], "the scheduler keeps its say"


async def test_the_pod_has_its_token_by_a_secret_that_it_owns() -> None:
    """Also when the answer to the first request was lost, and a secret of that name stands there already."""
    it = spawner()
    it.api_token = "token-of-the-notebook"
    it.get_env = lambda: {"JUPYTERHUB_API_TOKEN": it.api_token}  # type: ignore[method-assign]
    permitted(it)
    made: list[Any] = []
    secrets: dict[str, Any] = {}

    class Api:
        api_client = it.api.api_client

        async def create_namespaced_pod(self, namespace: str, pod: Any) -> None:
            made.append(self.api_client.sanitize_for_serialization(pod))

        async def list_namespaced_pod(self, namespace: str, field_selector: str, **_: Any) -> Any:
            return SimpleNamespace(items=[SimpleNamespace(metadata=SimpleNamespace(uid=f"uid-{len(made)}"))])

        async def create_namespaced_secret(self, namespace: str, body: Any) -> None:
            if body["metadata"]["name"] in secrets:
                raise ApiException(status=409)
            secrets[body["metadata"]["name"]] = body

        async def delete_namespaced_secret(self, name: str, namespace: str) -> None:
            del secrets[name]

    it.api = Api()
    manifest = await it.get_pod_manifest()
    for _ in range(2):
        assert await it._make_create_pod_request(manifest, 3)

    assert it.api_token not in json.dumps(made)
    (secret,) = secrets.values()
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "uid-2"
    ((variable),) = made[-1]["spec"]["containers"][0]["env"]
    reference = variable["valueFrom"]["secretKeyRef"]
    assert reference["name"] == secret["metadata"]["name"]
    assert secret["stringData"][reference["key"]] == it.api_token


async def test_a_secret_that_may_not_be_made_fails_the_launch_in_the_cluster_s_words() -> None:
    """And the token is in none of them."""
    it = spawner()

    class Api:
        async def create_namespaced_secret(self, namespace: str, body: Any) -> None:
            error = ApiException(status=403, reason="Forbidden")
            error.body = json.dumps({"message": 'secrets is forbidden: User "hub" cannot create resource'})
            raise error

    it.api = Api()
    with pytest.raises(LaunchFailed, match=r"the secret s could not be made: secrets is forbidden: User"):
        await it._create_secret({"metadata": {"name": "s"}})


async def test_a_pod_that_the_cluster_refuses_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as the client's exception, whose headers come first."""
    it = spawner()
    permit = permitted(it)
    refused = ApiException(status=403, reason="Forbidden")
    refused.body = json.dumps({"message": 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'})

    async def nothing(*_: Any) -> None:
        return None

    async def start() -> None:
        raise refused

    monkeypatch.setattr(it, "_end_earlier", nothing)
    monkeypatch.setattr(it, "_tell_events", nothing)
    monkeypatch.setattr("kubespawner.KubeSpawner.start", lambda _: start())
    with pytest.raises(LaunchFailed, match='the cluster refused it: pods "x" is forbidden: violates PodSecurity'):
        await it.launch(permit)


FAULTS = [
    ClientConnectionError("refused"),
    TimeoutError(),
    ApiException(status=503, reason="not ready"),
    ApiException(status=500, reason="etcdserver: leader changed"),
    ApiException(status=429, reason="too many requests"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_a_cluster_that_does_not_answer_is_asked_again_and_then_is_no_failure_of_the_job(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever asks: to list, to make and to delete a pod. The queue sees to what could not be deleted."""
    it = spawner(k8s_api_request_retry_timeout=1)
    permit = permitted(it)
    asked: list[str] = []

    class Api:
        api_client = it.api.api_client
        lists = False

        async def list_namespaced_pod(self, *_: Any, **__: Any) -> Any:
            asked.append("list")
            if not self.lists:
                raise fault
            return SimpleNamespace(items=[])

        async def create_namespaced_pod(self, *_: Any, **__: Any) -> Any:
            asked.append("create")
            raise fault

        async def delete_namespaced_pod(self, *_: Any, **__: Any) -> Any:
            asked.append("delete")
            raise fault

    async def nothing(*_: Any, **__: Any) -> None:
        return None

    it.api = Api()
    for name in ("_tell_events", "_start_watching_pods", "_start_watching_events"):
        monkeypatch.setattr(it, name, nothing)

    for it.api.lists in (False, True):
        with pytest.raises(LaunchFailed, match="the cluster does not answer") as failure:
            await it.launch(permit)
        await it.end_launch(now=True)
        assert failure.value.away

    assert all(asked.count(what) > 1 for what in ("list", "create", "delete"))


async def test_the_pod_is_as_restricted_as_pod_security_wants_it() -> None:
    """Unless the site says otherwise, as all of KubeSpawner's settings can."""
    it = spawner()
    spec = it._document(await it.get_pod_manifest())["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert spec["containers"][0]["securityContext"] == own
    theirs = spawner(pod_security_context={"runAsUser": 5}, container_security_context={"runAsGroup": 6})
    spec = theirs._document(await theirs.get_pod_manifest())["spec"]
    assert spec["securityContext"] == {"runAsUser": 5}


def pod_that(*, deleted: bool = False, **status: Any) -> dict[str, Any]:
    meta = {"name": "p"} | ({"deletionTimestamp": "2026-11-28T12:00:00Z"} if deleted else {})
    return {"metadata": meta, "spec": {"nodeName": "dgx1"}, "status": {"phase": "Running", **status}}


def notebook(code: int) -> list[dict[str, Any]]:
    return [{"name": "notebook", "state": {"terminated": {"exitCode": code}}}]


EVICTED = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]


@pytest.mark.parametrize(
    ("pod", "status", "fate"),
    [
        (pod_that(containerStatuses=notebook(3)), 3, {"cause": "ended", "words": ""}),
        (pod_that(deleted=True, containerStatuses=notebook(0)), None, {"cause": "deleted", "words": ""}),
        (
            pod_that(deleted=True, containerStatuses=notebook(0), conditions=EVICTED),
            None,
            {
                "cause": "taken",
                "words": "The cluster took the server away from dgx1: somebody cleared that node.",
            },
        ),
        (None, None, None),
    ],
    ids=["ended by itself", "deleted", "evicted", "gone before the Hub looked"],
)
async def test_the_queue_is_told_what_became_of_a_pod(
    pod: dict[str, Any] | None, status: int | None, fate: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the notebook ended well when it was asked to is not its own end."""
    it = spawner()
    it.job_key, it.job_launch = KEY, 2
    told: list[Any] = []

    async def poll(_: Any) -> int:
        return 1

    async def tell(message: Any) -> None:
        told.append(message)

    monkeypatch.setattr("kubespawner.KubeSpawner.poll", poll)
    monkeypatch.setattr(it, "_pod", lambda: pod)
    monkeypatch.setattr(it, "_tell", tell)

    assert await it.poll() == 1

    body = {"launch": 2, "status": status} | ({"fate": fate} if fate else {})
    assert [(each.path, each.body) for each in told] == [(f"/spawner/v1/jobs/{KEY}/exited", body)]


async def test_a_launch_that_the_cluster_takes_away_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    it = spawner()
    monkeypatch.setattr("gpuqueue_spawner.spawner.kubernetes.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(it, "_pod", lambda: pod_that(deleted=True, conditions=EVICTED))
    assert (await it._fails()).taken

    monkeypatch.setattr(it, "_pod", lambda: pod_that(phase="Failed", reason="OutOfcpu", message="no room"))
    failure = await it._fails()
    assert (failure.taken, str(failure)) == (False, "OutOfcpu: no room")


async def test_a_cluster_that_does_not_list_pods_is_asked_again_and_then_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is dead would else be waited for until the launch's whole time is up."""
    it = spawner(k8s_api_request_retry_timeout=1)
    asked: list[Any] = []

    class Api:
        async def list_namespaced_pod(self, namespace: str, **query: Any) -> Any:
            asked.append(query)
            raise TimeoutError

    it.api = Api()

    with pytest.raises(LaunchFailed, match="the cluster does not answer"):
        await it._list(label_selector="a=b")

    assert len(asked) > 1
    assert asked[0] == {"label_selector": "a=b", "_request_timeout": it.k8s_api_request_timeout}

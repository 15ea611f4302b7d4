"""What a notebook's pod asks for, as the queue reads it, and what is added to it: without a cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.model import Resources
from gpuqueue_spawner.spawner.errors import InvalidOption
from gpuqueue_spawner.spawner.jobs import JobView, Permit
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""
GPU = "nvidia.com/gpu"
KEY = "9f86d081884c7d659a2feaa0c55ad015"
GIB = 2**30


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KubeSpawner looks for a cluster when it is made; nothing here asks one."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig")
    )


def spawner(**config: Any) -> GPUQueueKubeSpawner:
    """As the Hub makes one, but for its user and its orm."""
    options = config.pop("options", {})
    it = GPUQueueKubeSpawner(_mock=True, **config)
    it.user_options = options
    it.user.escaped_name = "mock"
    it.cmd = ["jupyterhub-singleuser"]
    it.get_env = dict  # type: ignore[method-assign]
    it.get_args = list  # type: ignore[method-assign]
    return it


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


async def test_a_profile_is_read_off_the_manifest_that_it_leads_to() -> None:
    """Guarantees count; where there is none, the limit does."""
    assert await wishes(profile_list=PROFILES) == Resources(cpus=2, memory=0)
    wanted = Resources(cpus=1.5, memory=8 * GIB, gpus={GPU: 4})
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

    assert resources == Resources(cpus=1.75, memory=3 * GIB)


async def test_part_of_a_gpu_is_refused_with_its_name() -> None:
    """Before it waits for hours: no cluster takes it."""
    with pytest.raises(InvalidOption) as error:
        await wishes(profile_list=PROFILES, options={"profile": "half"})
    assert GPU in str(error.value)


def permitted(it: GPUQueueKubeSpawner, node: str = "dgx2") -> Permit:
    view = JobView.of_document({"id": 7, "key": KEY, "state": "starting", "version": 4, "placement": {"node": node}})
    permit = Permit(job=view, launch=2, ticket="t", environment={"GPUQUEUE_JOB": f"0123456789abcdef/{KEY}/2"})
    it._permit = dataclasses.replace(permit)
    return permit


async def test_the_pod_is_marked_and_pinned_whatever_the_site_s_affinity_is() -> None:
    """By the name of the node, beside the site's own demands; its labels stay."""
    term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a100"]}]}
    it = spawner(node_affinity_required=[term], extra_labels={"team": "vision"})
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
    assert required["nodeSelectorTerms"] == [{**term, "matchFields": [here]}]
    assert "nodeName" not in made[-1]["spec"], "the scheduler keeps its say"

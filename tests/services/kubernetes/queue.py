"""A site whose notebooks are pods of a test cluster: proxy, Hub and queue manager run beside the API server.

Knows how site.py's parts are told of a cluster. What people do on it: visitor.py.
"""

from __future__ import annotations

import contextlib
import os
import unittest.mock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services.site import Site, site

from .cluster import Cluster
from .control import ADDRESS
from .kubectl import Kubectl

KEYS = "gpuqueue.jupyter.org/"

HUB = """
c.JupyterHub.spawner_class = "gpuqueue-kube"
c.JupyterHub.hub_ip = ""
c.JupyterHub.hub_connect_ip = {address!r}
c.JupyterHub.hub_connect_port = c.JupyterHub.hub_port
c.KubeSpawner.namespace = {namespace!r}
c.KubeSpawner.image = {image!r}
c.KubeSpawner.image_pull_policy = "Never"
c.KubeSpawner.delete_grace_period = 1
c.KubeSpawner.uid = 1000
c.KubeSpawner.environment = {{"HOME": "/tmp"}}
c.KubeSpawner.working_dir = "/tmp"
c.Spawner.cmd = ["jupyterhub-singleuser"]
c.QueueingMixin.launch_timeout = 120.0
c.QueueingMixin.profile_list = {profiles!r}
{more}
"""
MANAGER = """
c.ManagerApp.capacity_class = "gpuqueue_spawner.capacity.KubernetesCapacity"
c.KubernetesCapacity.kubeconfig = {kubeconfig!r}
{more}
"""


def profile(gpus: int) -> dict[str, Any]:
    """Of KubeSpawner's format; an extended resource needs its limit."""
    return {
        "display_name": f"{gpus} GPUs",
        "slug": f"gpu{gpus}",
        "kubespawner_override": {
            "cpu_guarantee": 0.05,
            "mem_guarantee": "64M",
            "extra_resource_limits": {"nvidia.com/gpu": str(gpus)} if gpus else {},
            "extra_resource_guarantees": {"nvidia.com/gpu": str(gpus)} if gpus else {},
        },
    }


@contextlib.contextmanager
def queue_on(
    cluster: Cluster,
    kubectl: Kubectl,
    *,
    hub_more: str = "",
    manager_more: str = "",
    hub_kubeconfig: Path | None = None,
    manager_kubeconfig: Path | None = None,
) -> Iterator[Site]:
    """A running site; its notebooks are pods in the namespace of `kubectl`, whose rights all have unless told else."""
    kubeconfig = str(kubectl.kubeconfig)
    nowhere = {
        "display_name": "No such image",
        "slug": "nowhere",
        "kubespawner_override": {"image": "nowhere/at/all:1"},
    }
    profiles = [*(profile(gpus) for gpus in (1, 2, 4, 8, 0)), nowhere]
    hub = HUB.format(
        address=ADDRESS,
        namespace=kubectl.namespace,
        image=cluster.images["notebook"],
        profiles=profiles,
        more=hub_more,
    )
    manager = MANAGER.format(kubeconfig=str(manager_kubeconfig or kubeconfig), more=manager_more)
    with (
        # KubeSpawner's client reads it when imported.
        unittest.mock.patch.dict(os.environ, KUBECONFIG=str(hub_kubeconfig or kubeconfig)),
        site(hub_more=hub, manager_more=manager) as it,
    ):
        yield it

"""Our KubeSpawner as the Hub makes one, but for its user and its orm; no cluster is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""


def no_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KubeSpawner looks for a cluster when it is made; nothing here asks one."""
    (folder / "kubeconfig").write_text(KUBECONFIG)
    monkeypatch.setattr(
        "kubernetes_asyncio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig")
    )


def spawner(**config: Any) -> GPUQueueKubeSpawner:
    """One with these settings, `options` of a request, `user` and what a login left in `auth_state`."""
    options, auth_state = config.pop("options", {}), config.pop("auth_state", None)
    name = config.pop("user", "mock@name")

    async def state() -> Any:
        return auth_state

    it = GPUQueueKubeSpawner(_mock=True, **config)
    it.user_options = options
    it.user.name = name
    it.user.escaped_name = "mock"
    it.user.get_auth_state = state
    it.cmd = ["jupyterhub-singleuser"]
    it.get_env = dict  # type: ignore[method-assign]
    it.get_args = list  # type: ignore[method-assign]
    return it

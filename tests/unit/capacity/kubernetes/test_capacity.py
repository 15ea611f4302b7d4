"""The cluster as the manager is told of it, where there is none or it cannot be found."""

from __future__ import annotations

from pathlib import Path

import pytest
from traitlets import TraitError

from gpuqueue_spawner.capacity import CapacityUnavailable, KubernetesCapacity

AWAY = """
apiVersion: v1
kind: Config
current-context: away
contexts: [{name: away, context: {cluster: away, user: nobody}}]
clusters: [{name: away, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""


def test_without_the_id_of_the_installation_it_is_refused() -> None:
    """It would take another queue's pods for its own."""
    with pytest.raises(TraitError, match=r"KubernetesCapacity\.instance is not set"):
        KubernetesCapacity()


@pytest.mark.parametrize("content", [AWAY, "", "no: [yaml", None], ids=["away", "empty", "unreadable", "missing"])
def test_a_cluster_that_cannot_be_asked_takes_nothing_for_gone(tmp_path: Path, content: str | None) -> None:
    """In words, and nobody is admitted: neither before its first word nor by an error."""
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    capacity = KubernetesCapacity(instance="0123456789abcdef", kubeconfig=str(path))

    with pytest.raises(CapacityUnavailable, match="The cluster does not answer"):
        capacity.gone("9f86d081884c7d659a2feaa0c55ad015")
    with pytest.raises(CapacityUnavailable, match=r"The cluster|not been looked at"):
        capacity.look()

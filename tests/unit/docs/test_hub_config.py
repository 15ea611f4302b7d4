"""The Hub's ready configuration for a cluster, loaded as the Hub would, with what a chart or an admin gives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from .configurations import check

FILE = Path(__file__).parents[3] / "hub_config/jupyterhub_kubernetes.py"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the file with these values, and with more configuration where it is given."""

    def load(extra: str = "", **values: Any) -> Config:
        (tmp_path / "values.json").write_text(json.dumps(values))
        if extra:
            (tmp_path / "extra_config.py").write_text(extra)
        monkeypatch.setenv("GPUQUEUE_VALUES", str(tmp_path / "values.json"))
        monkeypatch.setenv("GPUQUEUE_EXTRA_CONFIG", str(tmp_path / "extra_config.py"))
        monkeypatch.setenv("GPUQUEUE_HUB_DATA", str(tmp_path))
        monkeypatch.setenv("GPUQUEUE_SERVICE_TOKEN", "0" * 64)
        c = Config()
        exec(compile(FILE.read_text(), str(FILE), "exec"), {"get_config": lambda: c, "c": c})  # noqa: S102
        return c

    return load


def test_every_setting_exists_and_takes_its_value(load: Any) -> None:
    c = load(config={"GPUQueueLDAPAuthenticator": {"server_address": "ldap.example.org"}})

    check("jupyterhub_config.py", c)
    assert c.JupyterHub.authenticator_class == "gpuqueue-ldap"
    assert c.JupyterHub.spawner_class == "gpuqueue-kube"
    assert c.JupyterHub.allow_named_servers


def test_each_choice_asks_for_its_gpus_and_their_share(load: Any) -> None:
    """What KubeSpawner's manifest, and so the queue, is made of."""
    c = load(notebooks={"gpu_counts": [2, 8], "per_gpu": {"cpu": 4, "memory": "32G"}})

    choices = c.GPUQueueKubeSpawner.profile_list[0]["profile_options"]["gpus"]["choices"]
    assert [each["display_name"] for each in choices.values()] == ["2 GPUs", "8 GPUs"]
    assert choices["gpu8"]["kubespawner_override"] == {
        "cpu_guarantee": 32,
        "mem_guarantee": "256G",
        "extra_resource_limits": {"nvidia.com/gpu": "8"},
        "extra_resource_guarantees": {"nvidia.com/gpu": "8"},
    }
    assert choices["gpu2"]["default"] is True


def test_a_large_home_is_not_gone_through_at_each_start(load: Any) -> None:
    """What the file says of a pod's security stands in place of the spawner's default, which says that too."""
    assert load().GPUQueueKubeSpawner.pod_security_context["fsGroupChangePolicy"] == "OnRootMismatch"


def test_a_site_without_gpus_offers_none(load: Any) -> None:
    c = load(notebooks={"gpu_counts": []})

    assert [each["slug"] for each in c.GPUQueueKubeSpawner.profile_list] == ["cpu"]


def test_more_configuration_is_kept_and_what_the_queue_needs_comes_last(load: Any) -> None:
    """A service of the site's stays beside the queue's; a limit against long waits does not."""
    c = load(extra='c.JupyterHub.services = [{"name": "own"}]\nc.JupyterHub.concurrent_spawn_limit = 5\n')

    assert [each["name"] for each in c.JupyterHub.services] == ["own", "gpuqueue"]
    assert c.JupyterHub.concurrent_spawn_limit == 0


def test_each_person_has_a_folder_on_a_claim(load: Any) -> None:
    c = load(storage={"type": "claim", "claim": "homes"})

    assert c.GPUQueueKubeSpawner.volumes["home"]["persistentVolumeClaim"] == {"claimName": "homes"}
    assert c.GPUQueueKubeSpawner.volume_mounts["home"]["subPath"] == "{username}"


def test_a_share_is_told_to_the_spawner(load: Any) -> None:
    """It mounts each person's folder itself: no volume of this file's is in the way."""
    storage = {"type": "share", "claim": "share", "homes_folder": "storage/share", "homes_url": "http://homes:8085"}
    c = load(storage=storage | {"data_sets": {"data": "/data"}, "scratch_size": "200Gi"})

    check("jupyterhub_config.py", c)
    assert c.GPUQueueKubeSpawner.share_claim == "share"
    assert "volumes" not in c.GPUQueueKubeSpawner

"""The values for Zero to JupyterHub: names that its chart has, and configuration that its Hub takes.

That chart is not at hand where tests run; what it calls its values, and in which version, is in a list beside this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from traitlets.config import Config

from gpuqueue_spawner import __version__
from gpuqueue_spawner.auth import GPUQueueLDAPAuthenticator
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

TREE = Path(__file__).parents[3]
VALUES: dict[str, Any] = yaml.safe_load((TREE / "helm/zero-to-jupyterhub-values.yaml").read_text())
LINES = (Path(__file__).parent / "zero_to_jupyterhub.txt").read_text().splitlines()
NAMES = dict(line.split(": ", 1) for line in LINES if not line.startswith("#"))
TYPES = {"integer": int, "string": str, "boolean": bool, "array": list, "object": dict, "number": (int, float)}
FREE = {"hub.config", "hub.services", "hub.loadRoles"}  # named by the site, though something below is described


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with the name that the chart knows."""
    for key, value in values.items():
        name = f"{path}.{key}".lstrip(".")
        below = any(each.startswith(f"{name}.") for each in NAMES) and name not in FREE
        if isinstance(value, dict) and below:
            yield from leaves(value, name)
        else:
            yield name, value


def fits(value: Any, kind: str) -> bool:
    if kind.startswith("one of "):
        return value in kind.removeprefix("one of ").split(",")
    return any(isinstance(value, TYPES[each]) for each in kind.split("|") if each in TYPES)


@pytest.mark.parametrize(("name", "value"), [*leaves(VALUES)], ids=lambda it: it if isinstance(it, str) else "")
def test_every_value_is_one_of_that_chart(name: str, value: Any) -> None:
    assert name in NAMES
    assert fits(value, NAMES[name])


def test_its_limits_against_long_waits_are_lifted() -> None:
    """300 seconds, 64 at a time, 5 failures in a row: its defaults, which would end a wait."""
    assert VALUES["singleuser"]["startTimeout"] == 315_360_000
    assert VALUES["hub"]["concurrentSpawnLimit"] == VALUES["hub"]["consecutiveFailureLimit"] == 0
    assert VALUES["cull"]["maxAge"] == 0


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Config:
    """What its Hub has read in the end: values first, then the code, with lists that it has begun."""
    monkeypatch.setenv("GPUQUEUE_SERVICE_TOKEN", "0" * 64)
    c = Config()
    c.JupyterHub.services = [{"name": name} for name in VALUES["hub"]["services"]]
    c.JupyterHub.load_roles = [{"name": name, **role} for name, role in VALUES["hub"]["loadRoles"].items()]
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.KubeSpawner.start_timeout = VALUES["singleuser"]["startTimeout"]
    c.KubeSpawner.profile_list = VALUES["singleuser"]["profileList"]
    for section, settings in VALUES["hub"]["config"].items():
        c[section].update(settings)
    for name, code in sorted(VALUES["hub"]["extraConfig"].items()):
        exec(compile(code, name, "exec"), {"c": c})  # noqa: S102
    return c


def test_its_hub_gets_the_queue_beside_what_it_has(configured: Config) -> None:
    hub = configured.JupyterHub

    assert hub.spawner_class == "gpuqueue-kube"
    assert [each["name"] for each in hub.services] == ["prometheus", "gpuqueue"]
    assert {"prometheus", "gpuqueue-service", "gpuqueue-admin"} <= {each["name"] for each in hub.load_roles}
    assert hub.allow_named_servers


@pytest.mark.parametrize("cls", [GPUQueueLDAPAuthenticator, GPUQueueKubeSpawner])
def test_every_setting_of_ours_exists(cls: Any) -> None:
    assert VALUES["hub"]["config"][cls.__name__].keys() <= set(cls.class_trait_names(config=True))


def test_the_images_are_of_this_version() -> None:
    assert VALUES["hub"]["image"]["tag"] == VALUES["singleuser"]["image"]["tag"] == __version__

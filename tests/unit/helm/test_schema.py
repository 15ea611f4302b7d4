"""The chart's values: the schema knows each of them and nothing else, and settings by the names that classes have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator

from gpuqueue_spawner import __version__
from gpuqueue_spawner.auth import GPUQueueLDAPAuthenticator
from gpuqueue_spawner.capacity import KubernetesCapacity
from gpuqueue_spawner.manager import Policy
from gpuqueue_spawner.service.app import ManagerApp
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

CHART = Path(__file__).parents[3] / "helm/gpuqueue"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
#: An object that takes any name says what its values are.
MAPS = ("dataSets", "nodeSelector", "annotations", "podLabels", "hubLabels", "proxyLabels", "requests", "limits")


def described(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return described(SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]])
    return schema


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that the schema describes, by its path."""
    schema = described(schema)
    if schema.get("type") == "object":
        yield path, schema
        for name, each in schema.get("properties", {}).items():
            yield from objects(each, f"{path}.{name}".lstrip("."))
    elif schema.get("type") == "array":
        yield from objects(schema["items"], f"{path}[]")


OBJECTS = dict(objects(SCHEMA))
SECTIONS = {path: each["propertyNames"]["enum"] for path, each in OBJECTS.items() if "propertyNames" in each}


@pytest.mark.parametrize("path", OBJECTS)
def test_no_object_takes_a_name_that_is_none(path: str) -> None:
    if path == "global":
        return  # Helm gives it to every chart
    schema = OBJECTS[path]

    if path.rpartition(".")[2] in MAPS:
        assert described(schema["additionalProperties"])
    else:
        assert schema.get("additionalProperties") is False or schema["propertyNames"]["enum"]


@pytest.mark.parametrize("path", [path for path in OBJECTS if "properties" in OBJECTS[path] and "[]" not in path])
def test_every_name_has_a_default(path: str) -> None:
    """So that values.yaml is the reference of all of them."""
    values: Any = VALUES
    for part in filter(None, path.split(".")):
        values = values[part]
    optional = {"global", "requests", "limits", "Policy", "KubernetesCapacity", "ManagerApp"}

    missing = set(OBJECTS[path]["properties"]) - set(values) - optional
    assert missing == set() or path == "hub.config"


@pytest.mark.parametrize("cls", [Policy, KubernetesCapacity, GPUQueueLDAPAuthenticator, GPUQueueKubeSpawner])
def test_the_settings_of_our_classes_are_all_known(cls: Any) -> None:
    """After a change of one: scripts/chart_settings.py."""
    (known,) = (set(each) for path, each in SECTIONS.items() if path.endswith(f".{cls.__name__}"))
    # A pod finds its cluster by itself; rbac.patchNodes sets the last, with the right that it needs.
    not_ours = {"kubeconfig", "context", "cordon_drained"}

    assert known == set(cls.class_trait_names(config=True)) - (not_ours if cls is KubernetesCapacity else set())


@pytest.mark.parametrize("cls", [ManagerApp, Authenticator, JupyterHub])
def test_every_setting_that_is_known_exists(cls: Any) -> None:
    (known,) = (each for path, each in SECTIONS.items() if path.endswith(f".{cls.__name__}"))

    assert set(known) <= set(cls.class_trait_names(config=True))


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__
    assert chart["version"] == __version__.replace(".dev", "-dev.")


def test_the_manager_s_file_is_taken_by_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With settings of the site, which come last."""
    values = {
        "base_url": "/jupyter/",
        "hub_url": "http://hub:8081",
        "help_url": "mailto:gpu@example.org",
        "named_servers": False,
        "replicas": 2,
        "upgrade_db": True,
        "cordon_drained": True,
        "max_hours": 12,
        "config": {"Policy": {"gpus": 4}, "KubernetesCapacity": {"tolerated_taints": ["dgx"]}},
    }
    (tmp_path / "values.json").write_text(json.dumps(values))
    text = (CHART / "files/manager_config.py").read_text().replace("/etc/gpuqueue", str(tmp_path))
    path = tmp_path / "manager_config.py"
    path.write_text(text)

    app = ManagerApp()
    app.initialize(["-f", str(path)])
    policy, capacity = Policy(parent=app), KubernetesCapacity(parent=app, instance="0" * 16)

    assert app.hub_api_url == "http://hub:8081/jupyter/hub/api"
    assert app.prefix == "/jupyter/services/gpuqueue/"
    assert (policy.max_lease, policy.gpus) == (12 * 3600, 4)
    assert (capacity.tolerated_taints, capacity.cordon_drained) == (["dgx"], True)

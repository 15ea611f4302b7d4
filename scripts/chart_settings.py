"""Writes into the chart's schema which settings there are, read off the classes: after one was added or removed.

Run it as `scripts/with test -- python scripts/chart_settings.py`. Everything else in the schema is written by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator

from gpuqueue_spawner.auth import GPUQueueLDAPAuthenticator
from gpuqueue_spawner.capacity import KubernetesCapacity
from gpuqueue_spawner.manager import Policy
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner

SCHEMA = Path(__file__).parents[1] / "helm/gpuqueue/values.schema.json"
WIDTH = 118
SECTIONS: dict[str, dict[str, list[str]]] = {
    "manager": {
        "Policy": sorted(Policy.class_trait_names(config=True)),
        # A pod finds its cluster by itself.
        "KubernetesCapacity": sorted(
            {*KubernetesCapacity.class_trait_names(config=True)} - {"kubeconfig", "context", "cordon_drained"}
        ),
        "ManagerApp": ["database_limit", "log_level"],  # the rest follows from other values
    },
    "hub": {
        cls.__name__: sorted(cls.class_trait_names(config=True))
        for cls in (GPUQueueLDAPAuthenticator, Authenticator, JupyterHub, GPUQueueKubeSpawner)
    },
}


def schema() -> dict[str, Any]:
    """The schema with today's settings."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    for part, sections in SECTIONS.items():
        found["properties"][part]["properties"]["config"]["properties"] = {
            name: {"type": "object", "propertyNames": {"enum": names}} for name, names in sections.items()
        }
    return found


def dumped(value: Any, indent: int = 0) -> str:
    """JSON with as much in a line as fits: names of settings would else fill a page each."""
    flat = json.dumps(value)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        return _block("{", [f"{pad}{json.dumps(key)}: {dumped(each, indent + 2)}" for key, each in value.items()], "}")
    if not all(isinstance(each, str) for each in value):
        return _block("[", [pad + dumped(each, indent + 2) for each in value], "]")
    lines = [pad]
    for each in map(json.dumps, value):
        if len(lines[-1]) + len(each) > WIDTH:
            lines.append(pad)
        lines[-1] += f"{each}, "
    return _block("[", [line.rstrip(", ") for line in lines], "]")


def _block(opening: str, lines: list[str], closing: str) -> str:
    indent = len(lines[0]) - len(lines[0].lstrip()) - 2
    return f"{opening}\n" + ",\n".join(lines) + f"\n{' ' * indent}{closing}"


if __name__ == "__main__":
    SCHEMA.write_text(dumped(schema()) + "\n")

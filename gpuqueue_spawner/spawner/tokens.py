"""Keeps a notebook's API token out of its pod's manifest, which many may read: a secret of the launch has it instead.

Pure. Knows Kubernetes' JSON. Who makes the secret: kubernetes.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import LaunchFailed

KINDS = ("initContainers", "containers")


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """A pod's containers without the token, and what the secret must hold for them."""

    containers: Mapping[str, list[dict[str, Any]]]  #: by the name of their field in the spec
    data: Mapping[str, str]  #: of the secret; empty: the token stood nowhere


def secret_name(pod: str) -> str:
    """Of a pod's secret. A secret's name may be four times as long as a pod's."""
    return f"{pod}-token"


def hidden(pod: Mapping[str, Any], token: str, *, secret: str) -> Hidden:
    """Take every variable whose value holds the token out of the containers of a pod.

    :raises LaunchFailed: it stands elsewhere too, such as in an argument.
    """
    data: dict[str, str] = {}
    spec = pod["spec"]
    containers = {kind: [_without(each, token, secret, data) for each in spec.get(kind) or ()] for kind in KINDS}
    left = {**pod, "spec": {**spec, **containers}}
    if token and token in json.dumps(left):
        raise LaunchFailed(
            "the notebook's API token stands in the pod outside of its environment (arguments, labels, annotations), "
            "where others can read it; this Hub's configuration puts it there"
        )
    return Hidden(containers={kind: each for kind, each in containers.items() if each}, data=data)


def secret_manifest(
    name: str, data: Mapping[str, str], *, owner: Mapping[str, str], labels: Mapping[str, str]
) -> dict[str, Any]:
    """A secret that goes with the pod that owns it.

    :param owner: name and uid of the pod.
    """
    reference = {"apiVersion": "v1", "kind": "Pod", "blockOwnerDeletion": False, "controller": False, **owner}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": {"name": name, "labels": dict(labels), "ownerReferences": [reference]},
        "stringData": dict(data),
    }


def _without(container: Mapping[str, Any], token: str, secret: str, data: dict[str, str]) -> dict[str, Any]:
    variables = []
    for each in container.get("env") or ():
        value = each.get("value")
        if token and isinstance(value, str) and token in value:
            key = _key(each["name"], value, data)
            each = {"name": each["name"], "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        variables.append(each)
    return {**container, "env": variables} if variables else dict(container)


def _key(name: str, value: str, data: dict[str, str]) -> str:
    """One key for each value; two containers may have a variable of one name with two values."""
    for key, known in data.items():
        if known == value:
            return key
    key, number = name, 1
    while key in data:
        number += 1
        key = f"{name}-{number}"
    data[key] = value
    return key

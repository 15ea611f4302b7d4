"""Service accounts of a test cluster, and the roles that the documentation gives them: what is told is what is tried.

Knows Markdown's fences and kubectl.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .kubectl import Kubectl, Object
from .namespaces import TREE

PAGE = TREE / "docs/howto/kubernetes.md"
TOKEN_FOR = "6h"


def told(kind: str, name: str, page: Path = PAGE) -> Object:
    """An object as a page of the documentation shows it."""
    found = [each for each in _shown(page) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{page.name} shows {len(found)} times {kind} {name}"
    return found[0]


def _shown(page: Path) -> Iterator[Any]:
    for block in page.read_text(encoding="utf-8").split("```yaml\n")[1:]:
        yield from (each for each in yaml.safe_load_all(block.partition("```")[0]) if "kind" in each)


def account(admin: Kubectl, namespace: str, name: str, folder: Path) -> Kubectl:
    """Make a service account; returns kubectl as it, with a kubeconfig of its own in the folder."""
    there = admin.within(namespace)
    there.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    content: dict[str, Any] = json.loads(admin.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": there("create", "token", name, f"--duration={TOKEN_FOR}").strip()}
    path = folder / f"{name}.kubeconfig"
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return Kubectl(path)


def grant(admin: Kubectl, role: Object, to: str, *, namespace: str = "") -> None:
    """Give an account, by its namespace and name, a role that the documentation shows; in one namespace, or in all."""
    kind, name = role["kind"], role["metadata"]["name"]
    where = admin.within(namespace) if namespace else admin
    where.apply(role)
    where("create", f"{kind.lower()}binding", name, f"--{kind.lower()}={name}", f"--serviceaccount={to}")

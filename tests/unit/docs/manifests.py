"""The YAML of every page: what is an object of Kubernetes, and what a plain API server can be asked about.

A block whose kinds need more than Kubernetes itself says so in its first line, for its readers as for the tests:
`# Not tried: needs cert-manager`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from .snippets import Snippet, snippets

NOT_TRIED = "# Not tried"
#: API groups that every API server has.
OWN = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One block."""

    snippet: Snippet
    documents: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return str(self.snippet)

    @property
    def tried(self) -> bool:
        """Whether an API server can be asked; its readers see when not."""
        return not self.snippet.text.startswith(NOT_TRIED)

    @property
    def is_kubernetes(self) -> bool:
        """Whether it holds objects, and not, say, a chart's values."""
        return any("apiVersion" in each for each in self.documents)

    @property
    def groups(self) -> set[str]:
        """The API groups of its objects."""
        return {each["apiVersion"].rpartition("/")[0] for each in self.documents}


def manifests() -> list[Manifest]:
    """All of them.

    :raises yaml.YAMLError: one is no YAML.
    """
    return [
        Manifest(snippet=snippet, documents=tuple(each for each in yaml.safe_load_all(snippet.text) if each))
        for snippet in snippets("yaml")
    ]


def objects() -> list[Manifest]:
    """Those that an API server can be asked about."""
    return [each for each in manifests() if each.is_kubernetes and each.tried]

"""The YAML in the documentation can be read, and nothing that an API server could be asked about escapes it."""

from __future__ import annotations

import pytest

from .manifests import OWN, Manifest, manifests, objects
from .snippets import Snippet

ALL = manifests()


@pytest.mark.parametrize("manifest", ALL, ids=str)
def test_a_block_holds_objects_or_values_and_not_both(manifest: Manifest) -> None:
    assert manifest.documents
    assert all(isinstance(each, dict) for each in manifest.documents)
    if manifest.is_kubernetes:
        assert all({"apiVersion", "kind"} <= each.keys() for each in manifest.documents)


@pytest.mark.parametrize("manifest", [each for each in ALL if each.is_kubernetes], ids=str)
def test_what_is_not_tried_says_so_and_could_not_be(manifest: Manifest) -> None:
    """Kubernetes' own kinds are tried on a cluster, by tests/cluster/test_guides.py; the others tell their readers."""
    assert manifest.tried == (manifest.groups <= OWN), f"{sorted(manifest.groups)}"


def test_there_is_something_to_try() -> None:
    assert len(objects()) >= 5


def test_a_block_without_its_mark_would_be_noticed() -> None:
    text = "apiVersion: cert-manager.io/v1\nkind: Certificate\n"
    documents = ({"apiVersion": "cert-manager.io/v1", "kind": "Certificate"},)
    unmarked = Manifest(snippet=Snippet(page="p", line=1, kind="yaml", text=text), documents=documents)

    with pytest.raises(AssertionError, match="cert-manager"):
        test_what_is_not_tried_says_so_and_could_not_be(unmarked)

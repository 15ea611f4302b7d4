"""Which volume a person's claim gets: theirs, a new one, or none and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.homes.folders import InvalidFolder
from gpuqueue_spawner.homes.volumes import (
    MOST_RELEASED,
    Make,
    Place,
    Refuse,
    Use,
    choose,
    manifest,
    read_claim,
    read_place,
    volume_name,
)

PLACE = Place(server="nfs.example.org", path="/export/storage/share", namespace="notebooks", options=("hard",))
NAME = "notebooks.home-ada"


def volume(name: str = NAME, *, phase: str = "Bound", folder: str = "ada", claim: str = "home-ada", **spec: Any) -> Any:
    made = manifest(name, PLACE, folder=folder, claim=claim)
    return made | {"spec": made["spec"] | spec, "status": {"phase": phase}}


def chosen(*found: Any) -> Use | Make | Refuse:
    return choose(found, place=PLACE, folder="ada", claim="home-ada")


def test_where_there_is_none_one_is_made_of_the_service_s_own_settings() -> None:
    made = chosen()

    assert isinstance(made, Make)
    assert made.volume["metadata"]["name"] == NAME
    assert made.volume["spec"] == {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": "notebooks",
            "name": "home-ada",
        },
        "nfs": {"server": "nfs.example.org", "path": "/export/storage/share/ada"},
        "mountOptions": ["hard"],
    }


@pytest.mark.parametrize("phase", ["Bound", "Available", "Pending", ""])
def test_the_one_that_is_there_is_used(phase: str) -> None:
    assert chosen(volume(phase=phase)) == Use(name=NAME)


def test_what_an_administrator_changed_of_the_mount_is_left() -> None:
    changed = volume(
        mountOptions=["soft"], capacity={"storage": "5Ti"}, nfs={**volume()["spec"]["nfs"], "readOnly": False}
    )

    assert chosen(changed) == Use(name=NAME)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"nfs": {"server": "nfs.example.org", "path": "/export/storage/share/eve"}}, "storage/share/eve, this is"),
        ({"nfs": {"server": "other", "path": "/export/storage/share/ada"}}, "it is other:/export"),
        ({"nfs": {**volume()["spec"]["nfs"], "readOnly": True}}, "it is nfs.example.org:"),
        ({"nfs": None, "hostPath": {"path": "/"}}, "it is no folder of NFS"),
        ({"storageClassName": "fast"}, "of the storage class fast"),
        ({"accessModes": ["ReadWriteOnce"]}, "not for many nodes"),
    ],
)
def test_one_of_something_else_is_refused_with_what_it_is(spec: Any, words: str) -> None:
    refused = chosen(volume(**spec))

    assert isinstance(refused, Refuse)
    assert refused.reason.startswith(f"the volume {NAME} is of something else")
    assert words in refused.reason


def test_a_deleted_claim_s_volume_is_followed_by_another_of_the_same_folder() -> None:
    """It stays with the claim that is gone; what it is of is no matter then."""
    released = volume(phase="Released", nfs={"server": "old", "path": "/old"})

    made = chosen(released)

    assert isinstance(made, Make)
    assert made.volume["metadata"]["name"] == f"{NAME}.2"
    assert chosen(released, volume(f"{NAME}.2")) == Use(name=f"{NAME}.2")


def test_the_bound_one_is_used_also_where_an_administrator_has_deleted_those_before() -> None:
    assert chosen(volume(phase="Available"), volume(f"{NAME}.3")) == Use(name=f"{NAME}.3")


def test_a_number_that_is_free_again_is_taken() -> None:
    made = chosen(volume(f"{NAME}.2", phase="Released"))

    assert isinstance(made, Make)
    assert made.volume["metadata"]["name"] == NAME


def test_left_over_volumes_do_not_grow_for_ever() -> None:
    left = [volume(volume_name("notebooks", "home-ada", n), phase="Released") for n in range(1, MOST_RELEASED + 1)]

    refused = chosen(*left)

    assert isinstance(refused, Refuse)
    assert "an administrator deletes those whose status is Released" in refused.reason


def test_volumes_of_another_namespace_s_claim_are_none_of_ours() -> None:
    other = volume("x", claimRef={"namespace": "elsewhere", "name": "home-ada"})

    assert isinstance(chosen(other), Make)


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
NUMBERS = st.integers(1, MOST_RELEASED)


@given(one=st.tuples(LABELS, LABELS, NUMBERS), other=st.tuples(LABELS, LABELS, NUMBERS))
def test_no_two_claims_have_one_volume(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (volume_name(*one) == volume_name(*other)) == (one == other)


@given(folder=st.text(min_size=1, max_size=20), other=st.text(min_size=1, max_size=20))
def test_a_volume_of_one_folder_is_refused_for_every_other(folder: str, other: str) -> None:
    """Even if two people's claims had one name."""
    found = volume(folder=folder)

    choice = choose([found], place=PLACE, folder=other, claim="home-ada")

    assert isinstance(choice, Use if folder == other else Refuse)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"claim": "Home", "namespace": "notebooks"}, "claim"),
        ({"claim": "a.b", "namespace": "notebooks"}, "claim"),
        ({"claim": "a" * 64, "namespace": "notebooks"}, "claim"),
        ({"claim": 7, "namespace": "notebooks"}, "claim"),
        ({"claim": "", "namespace": "notebooks"}, "claim"),
        ({"claim": "home-ada"}, "namespace"),
        ({"claim": "home-ada", "namespace": "kube-system"}, "namespace"),
    ],
)
def test_a_claim_that_cannot_be_is_refused(document: object, field: str) -> None:
    """Nor is one in another namespace than the service is set up for."""
    with pytest.raises(InvalidFolder) as error:
        read_claim(document, PLACE)

    assert error.value.field == field


def test_without_volumes_none_is_promised() -> None:
    assert read_claim({"folder": "ada"}, None) == ""
    with pytest.raises(InvalidFolder, match="this service makes no volumes"):
        read_claim({"claim": "home-ada", "namespace": "notebooks"}, None)


@pytest.mark.parametrize(
    ("address", "server", "path"),
    [("nfs:/", "nfs", "/"), ("nfs.example.org:/a/b", "nfs.example.org", "/a/b"), ("[fd00::1]:/a", "fd00::1", "/a")],
)
def test_a_place_is_a_server_and_a_folder_of_it(address: str, server: str, path: str) -> None:
    place = read_place(address, namespace="notebooks", options=["hard"])

    assert place == Place(server=server, path=path, namespace="notebooks", options=("hard",))
    assert manifest("x", place, folder="ada", claim="c")["spec"]["nfs"]["path"].replace("//", "") in (
        "/ada",
        "/a/b/ada",
        "/a/ada",
    )


@pytest.mark.parametrize(("address", "namespace"), [("/a", "n"), ("nfs:a", "n"), ("nfs:/a/../b", "n"), ("nfs:/a", "")])
def test_a_place_that_is_none_is_refused(address: str, namespace: str) -> None:
    with pytest.raises(ValueError, match="allowed is"):
        read_place(address, namespace=namespace, options=[])

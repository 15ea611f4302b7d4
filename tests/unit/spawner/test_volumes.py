"""What a pod mounts of a share, and as whom it runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.spawner.users import Identity
from gpuqueue_spawner.spawner.volumes import (
    Shares,
    address,
    as_user,
    below,
    folder_owner,
    notebook_user,
    users_of,
    wanted,
)

NFS = Shares(share="nfs.example.org:/export/dgx", homes="storage/share")


@pytest.mark.parametrize(
    ("share", "found"),
    [
        ("nfs:/", ("nfs", "/")),
        ("10.0.0.1:/export/dgx", ("10.0.0.1", "/export/dgx")),
        ("[fd00::1]:/export", ("fd00::1", "/export")),
        ("nfs", None),
        ("/export", None),
        ("nfs:export", None),
        ("a b:/export", None),
        ("fd00::1:/export", None),
    ],
)
def test_a_share_is_a_server_and_a_path(share: str, found: tuple[str, str] | None) -> None:
    assert address(share) == found


@pytest.mark.parametrize("path", ["", "/", "/a", "a/", "a//b", "..", "a/../b", "./a"])
def test_a_folder_of_a_share_leads_nowhere_else(path: str) -> None:
    assert below("storage/share")
    assert not below(path)


def test_the_home_is_the_person_s_folder_of_the_share() -> None:
    """By the node, or by a claim; both mount one folder of it only."""
    found = wanted(NFS, folder="ada")
    by_claim = wanted(Shares(claim="share", homes="storage/share"), folder="ada")

    assert found.volumes == ({"name": "gpuqueue-share", "nfs": {"server": "nfs.example.org", "path": "/export/dgx"}},)
    assert by_claim.volumes == ({"name": "gpuqueue-share", "persistentVolumeClaim": {"claimName": "share"}},)
    home = {"name": "gpuqueue-share", "mountPath": "/home/jovyan", "subPath": "storage/share/ada"}
    assert found.mounts == by_claim.mounts == (home,)


def test_data_sets_are_read_only_and_scratch_has_a_size() -> None:
    more = Shares(share="nfs:/x", data_sets={"data/images": "/data/images"}, scratch="100Gi", scratch_at="/tmp/big")
    found = wanted(more, folder="ada")

    assert found.volumes[1] == {"name": "gpuqueue-scratch", "emptyDir": {"sizeLimit": "100Gi"}}
    assert found.mounts[1:] == (
        {"name": "gpuqueue-share", "mountPath": "/data/images", "subPath": "data/images", "readOnly": True},
        {"name": "gpuqueue-scratch", "mountPath": "/tmp/big"},
    )


def test_a_claim_of_one_s_own_is_mounted_whole_and_the_share_for_data_alone() -> None:
    own = Shares(home_claim="home-ada", homes="storage/share", claim="share")
    with_data = Shares(home_claim="home-ada", homes="storage/share", claim="share", data_sets={"data": "/data"})
    home = {"name": "gpuqueue-home", "persistentVolumeClaim": {"claimName": "home-ada"}}

    for shares in (own, with_data):
        found = wanted(shares, folder="ada")
        assert found.volumes[0] == home
        assert found.mounts[0] == {"name": "gpuqueue-home", "mountPath": "/home/jovyan"}
    assert len(wanted(own, folder="ada").volumes) == 1
    assert found.volumes[1] == {"name": "gpuqueue-share", "persistentVolumeClaim": {"claimName": "share"}}
    data = {"name": "gpuqueue-share", "mountPath": "/data", "subPath": "data", "readOnly": True}
    assert found.mounts[1:] == (data,)


def test_without_a_share_nothing_is_mounted() -> None:
    found = wanted(Shares(homes="storage", data_sets={"a": "/a"}), folder="ada")

    assert (found.volumes, found.mounts) == ((), ())


@given(st.text(), st.text())
def test_no_two_people_have_one_folder(one: str, other: str) -> None:
    """And none leads out of the folder of all."""
    from gpuqueue_spawner.spawner.users import folder_name

    paths = [wanted(NFS, folder=folder_name(name)).mounts[0]["subPath"] for name in (one, other) if name]

    assert all(below(path) and path.count("/") == 2 for path in paths)
    assert len({*paths}) == len({one, other} - {""})


def test_every_container_s_user_is_seen() -> None:
    """Its own, else the pod's."""
    spec = {
        "securityContext": {"runAsUser": 7, "runAsGroup": 8},
        "initContainers": [{"name": "stage", "securityContext": {"runAsUser": 0}}],
        "containers": [{"name": "notebook", "securityContext": {"runAsUser": 4321}}, {"name": "logs"}],
    }

    assert [*users_of(spec)] == [("stage", 0), ("notebook", 4321), ("logs", 7)]
    assert notebook_user(spec) == (4321, 8)
    assert [*users_of({"containers": [{"name": "notebook"}]})] == []


def test_the_numbers_of_a_person_are_added_to_what_the_site_says() -> None:
    who = Identity(uid=4321, gid=4322)

    assert as_user({"runAsUser": 1, "runAsNonRoot": True}, who) == {
        "runAsUser": 4321,
        "runAsGroup": 4322,
        "runAsNonRoot": True,
    }
    assert as_user(None, who) == {"runAsUser": 4321, "runAsGroup": 4322}


@pytest.mark.parametrize(("gid", "group"), [(4322, 4322), (100, 100), (None, 4321), (0, 4321), (99, 4321)])
def test_a_folder_is_never_given_to_a_group_of_the_system(gid: int | None, group: int) -> None:
    assert folder_owner(4321, gid) == (4321, group)

"""Numbers and folders that belong to one person only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.spawner.errors import SpawnRefused
from gpuqueue_spawner.spawner.users import Identity, NumberedUsers, directory_identity, folder_name, own_folder

GIVEN_OUT = range(200_000, 200_100)


def test_each_name_has_a_number_for_good(tmp_path: Path):
    """The same one after a restart, and never another's; names are compared byte for byte."""
    users = NumberedUsers(tmp_path / "uids", first=200_000, count=3)

    first = [users.number(name) for name in ("alice", "Alice", "alice ", "alice")]
    again = NumberedUsers(tmp_path / "uids", first=200_000, count=3)

    assert first == [200_000, 200_001, 200_002, 200_000]
    assert again.number("Alice") == 200_001
    with pytest.raises(SpawnRefused, match="given out"):
        again.number("bob")
    assert (tmp_path / "uids").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("uid", [0, -1, 999, "1000", True, 200_005, 10.5])
def test_a_number_of_the_system_or_of_somebody_else_is_refused(uid: Any):
    """Root above all."""
    with pytest.raises(SpawnRefused, match="may not have"):
        directory_identity({"uid": uid}, minimum=1000, given_out=GIVEN_OUT)


def test_the_directory_gives_user_and_groups():
    """Groups of the system are left out; without a number the range is asked."""
    found = directory_identity({"uid": 1001, "gid": 100, "gids": [5, 5000, "x"]}, minimum=1000, given_out=GIVEN_OUT)

    assert found == Identity(uid=1001, gid=100, groups=(5000,))
    assert directory_identity({"gid": 100}, minimum=1000, given_out=GIVEN_OUT) is None
    assert directory_identity({"uid": 1001}, minimum=1000, given_out=GIVEN_OUT) == Identity(uid=1001, gid=1001)
    with pytest.raises(SpawnRefused, match="group 42"):
        directory_identity({"uid": 1001, "gid": 42}, minimum=1000, given_out=GIVEN_OUT)


def test_no_name_is_a_path_and_no_two_share_a_folder():
    """Slashes, dots and long names."""
    names = ["alice", "../root", "..", ".", ".uids.sqlite", "a/b", "a%2Fb", "~", "x" * 300, "x" * 301, "ä"]

    folders = [folder_name(name) for name in names]

    assert len({*folders}) == len(names)
    assert all("/" not in folder and not folder.startswith((".", "~")) and len(folder) < 255 for folder in folders)


def test_a_folder_is_made_once_and_nothing_else_is_taken_for_it(tmp_path: Path):
    """Not a link that somebody left, not a folder of another number."""
    homes = tmp_path / "homes"
    as_root = os.geteuid() == 0

    folder = own_folder(homes, "alice", uid=os.geteuid(), gid=os.getegid(), as_root=as_root)
    (folder / "kept").touch()
    again = own_folder(homes, "alice", uid=os.geteuid(), gid=os.getegid(), as_root=as_root)

    assert (again / "kept").exists()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert homes.stat().st_mode & 0o777 == 0o711
    with pytest.raises(SpawnRefused, match="belongs to"):
        own_folder(homes, "alice", uid=os.geteuid() + 1, gid=1, as_root=True)
    (homes / "bob").symlink_to(folder)
    with pytest.raises(SpawnRefused, match="is not a folder"):
        own_folder(homes, "bob", uid=os.geteuid(), gid=1, as_root=as_root)

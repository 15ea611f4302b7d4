"""Folders on a share: each its owner's and nobody else's, whatever stands in the way. Run as root, for real owners."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.homes.folders import (
    Folder,
    FolderRefused,
    Folders,
    InvalidFolder,
    ShareAway,
    read_folder,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to other users, as only root can")


def folder(name: str = "ada", uid: int = 4321, gid: int = 4322) -> Folder:
    return Folder(name=name, uid=uid, gid=gid)


def asked(**more: Any) -> dict[str, Any]:
    return {"folder": "ada", "uid": 4321, "gid": 4322, **more}


def facts(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@needs_root
def test_a_folder_is_made_its_owner_s_and_nobody_else_s(tmp_path: Path) -> None:
    """Mode 0700, whatever the umask and the mode of the share."""
    tmp_path.chmod(0o1777)
    before = os.umask(0o777)
    try:
        made = Folders(tmp_path).make(folder())
    finally:
        os.umask(before)

    assert made is True
    assert facts(tmp_path / "ada") == (4321, 4322, 0o700)
    assert os.listdir(tmp_path) == ["ada"]


@needs_root
def test_asked_again_nothing_changes(tmp_path: Path) -> None:
    """Also what its owner made of it since: another mode, another group, files."""
    folders = Folders(tmp_path)
    folders.make(folder())
    (tmp_path / "ada/file").write_text("x")
    os.chown(tmp_path / "ada", 4321, 100)
    (tmp_path / "ada").chmod(0o750)

    assert folders.make(folder()) is False
    assert facts(tmp_path / "ada") == (4321, 100, 0o750)
    assert (tmp_path / "ada/file").read_text() == "x"


@needs_root
def test_a_folder_of_somebody_else_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    """The cluster's own, root's, among them."""
    (tmp_path / "ada").mkdir(mode=0o755)

    with pytest.raises(FolderRefused, match="it belongs to the numeric user 0, the notebook runs as 4321"):
        Folders(tmp_path).make(folder())
    assert facts(tmp_path / "ada") == (0, 0, 0o755)


@needs_root
@pytest.mark.parametrize("kind", ["link to a folder", "link to nowhere", "link to a file of root", "file", "pipe"])
def test_what_is_no_folder_is_refused_and_links_are_not_followed(kind: str, tmp_path: Path) -> None:
    """Somebody who can write to the share leads it nowhere else."""
    share, outside = tmp_path / "share", tmp_path / "outside"
    share.mkdir()
    outside.mkdir()
    (outside / "file").write_text("root's")
    place = share / "ada"
    if kind == "file":
        place.touch()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        targets = {"link to a folder": outside, "link to nowhere": outside / "new"}
        place.symlink_to(targets.get(kind, outside / "file"))

    with pytest.raises(FolderRefused, match="not a folder"):
        Folders(share).make(folder())

    assert facts(outside)[:2] == facts(outside / "file")[:2] == (0, 0)
    assert os.listdir(outside) == ["file"]


@needs_root
def test_a_link_that_comes_in_between_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put in the place of the new folder before it is given away: it is opened anew, and links are refused."""
    share, outside = tmp_path / "share", tmp_path / "outside"
    share.mkdir()
    outside.mkdir()
    mkdir = os.mkdir

    def attacked(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(path, mode, dir_fd=dir_fd)
        os.rmdir(path, dir_fd=dir_fd)
        os.symlink(outside, path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", attacked)
    with pytest.raises(ShareAway):
        Folders(share).make(folder())

    assert facts(outside)[:2] == (0, 0)
    assert not (share / "ada").exists()


@needs_root
def test_many_who_ask_at_once_have_one_folder(tmp_path: Path) -> None:
    """Two servers of one person start together."""
    folders, made = Folders(tmp_path), []
    threads = [threading.Thread(target=lambda: made.append(folders.make(folder()))) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(made) == [False] * 19 + [True]
    assert os.listdir(tmp_path) == ["ada"]


@needs_root
def test_a_share_that_gives_no_folder_away_is_told_and_left_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that makes root nobody does: it says so, or takes the call and does nothing."""
    monkeypatch.setattr(os, "fchown", lambda *_: None)

    with pytest.raises(ShareAway, match="no_root_squash"):
        Folders(tmp_path).make(folder())
    assert os.listdir(tmp_path) == []


def test_a_share_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ShareAway, match="cannot be entered"):
        Folders(tmp_path / "gone").look()


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    """Empty ones of its own making, nothing else."""
    for name in (".new-1", ".new-2", ".other", "ada"):
        (tmp_path / name).mkdir()
    (tmp_path / ".new-2/file").touch()

    Folders(tmp_path).sweep()

    assert sorted(os.listdir(tmp_path)) == [".new-2", ".other", "ada"]


@pytest.mark.parametrize("name", ["ada", "a.b", "Ada", "a-b", "%2Ex", "a@b.c", "ä", "x" * 255])
def test_a_good_name_is_taken(name: str) -> None:
    assert read_folder(asked(folder=name), smallest=1000) == folder(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".ssh", ".new-1", "a/b", "/a", "../a", "a\0", "a\n", "x" * 256, "ä" * 128, "\udc80", 7, None],
)
def test_a_bad_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidFolder) as error:
        read_folder(asked(folder=name), smallest=1000)
    assert (error.value.field, error.value.value) == ("folder", name)


@pytest.mark.parametrize(
    ("field", "number"),
    [("uid", number) for number in (0, 999, -1, 65534, 2**31, 2**32, 1000.5, "1000", True, None)]
    + [("gid", number) for number in (0, 99, 65534, None)],
)
def test_the_system_s_numbers_are_refused(field: str, number: object) -> None:
    with pytest.raises(InvalidFolder) as error:
        read_folder(asked(**{field: number}), smallest=1000)
    assert (error.value.field, error.value.value) == (field, number)


@pytest.mark.parametrize("document", [None, [], "x", {}, {"folder": "ada"}])
def test_what_is_no_request_is_refused(document: object) -> None:
    with pytest.raises(InvalidFolder):
        read_folder(document, smallest=1000)

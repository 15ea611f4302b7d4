"""The folder of a demo: what outlives it, for whose eyes, and what is never deleted."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from gpuqueue_spawner.cli.folder import PEOPLE, PORTS, SECRETS, Folder, FolderInUse, NotOurs, default_folder


def prepared(path: Path) -> Folder:
    folder = Folder(path)
    with folder.locked():
        folder.prepare()
    return folder


def test_secrets_and_accounts_outlive_a_demo(tmp_path: Path) -> None:
    """Notebooks find their Hub again, and people log in with the same passwords."""
    first, second = prepared(tmp_path / "demo"), prepared(tmp_path / "demo")

    assert first.accounts() == second.accounts()
    assert [first.secret(name) for name in SECRETS] == [second.secret(name) for name in SECRETS]
    assert len({first.secret(name) for name in SECRETS}) == len(SECRETS)


def test_only_the_owner_reads_secrets(tmp_path: Path) -> None:
    """And everybody may pass to the folders of the people, without listing them."""
    folder = prepared(tmp_path / "demo")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.private.iterdir() if path.name != "lock"}

    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.private.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.homes.stat().st_mode) == 0o711
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o711


def test_the_people_of_the_demo(tmp_path: Path) -> None:
    """Three users and an admin, each with a number and a password of their own."""
    accounts = prepared(tmp_path / "demo").accounts()

    assert list(accounts) == list(PEOPLE)
    assert len({each["password"] for each in accounts.values()}) == len(PEOPLE)
    assert len({each["uid"] for each in accounts.values()}) == len(PEOPLE)
    assert min(each["uid"] for each in accounts.values()) >= 10_000
    assert [name for name, each in accounts.items() if "DGX-Admins" in each["groups"]] == ["dana"]


def test_to_forget_takes_everything_but_the_lock(tmp_path: Path) -> None:
    """FRESH=1: new secrets, new people."""
    folder = prepared(tmp_path / "demo")
    before = folder.accounts()
    (folder.homes / "alice").mkdir()
    (folder.private / "ldap").mkdir()

    folder.forget()
    left = [path.name for path in folder.private.iterdir()]
    folder.prepare()

    assert left == ["lock"]
    assert not (folder.homes / "alice").exists()
    assert folder.accounts() != before


def test_a_folder_of_somebody_else_s_is_left_alone(tmp_path: Path) -> None:
    """GPUQUEUE_DATA=$HOME must not cost anybody a file, with FRESH=1 or without."""
    (tmp_path / "thesis.tex").write_text("...")

    with pytest.raises(NotOurs, match="no demo made it"), Folder(tmp_path).locked():
        pass


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second is told how to get one of its own."""
    folder = Folder(tmp_path / "demo")

    with folder.locked(), pytest.raises(FolderInUse, match="GPUQUEUE_DATA"), Folder(tmp_path / "demo").locked():
        pass


def test_ports_are_kept_where_they_are_free(tmp_path: Path) -> None:
    """A notebook that outlived its Hub finds the next one; a port that was taken meanwhile is replaced."""
    folder = prepared(tmp_path / "demo")
    first = folder.ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["hub"]))
        taken.listen()
        second = folder.ports()

    assert len(set(first.values())) == len(PORTS)
    assert second["hub"] != first["hub"]
    assert {name: port for name, port in second.items() if name != "hub"} == {
        name: port for name, port in first.items() if name != "hub"
    }


def test_the_environment_chooses_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUQUEUE_DATA."""
    monkeypatch.setenv("GPUQUEUE_DATA", str(tmp_path / "mine"))

    assert default_folder() == tmp_path / "mine"

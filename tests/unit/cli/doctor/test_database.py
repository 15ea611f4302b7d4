"""What the doctor says of a SQLite file, and that it leaves it as it is. Servers: tests/store/test_looks.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gpuqueue_spawner.cli.doctor import database
from gpuqueue_spawner.store import Store

from .examined import Told, examined

CONFIG = "c.ManagerApp.data_dir = {folder!r}\nc.LocalCapacity.simulated_gpus = 1\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "manager_config.py"
    path.write_text(CONFIG.format(folder=str(tmp_path)))
    return path


@pytest.fixture
def file(config: Path) -> Path:
    """A database of this version's."""
    path = config.parent / "gpuqueue.sqlite"
    with closing(Store(f"sqlite:///{path}")) as store:
        store.upgrade()
    return path


def said(capsys: pytest.CaptureFixture[str], config: Path) -> dict[str, Told]:
    found = examined(capsys, "--config", config)
    return {name.removeprefix("database."): each for name, each in found.items() if name.startswith("database.")}


def change(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(statement)


def test_a_good_file_is_in_order_and_stays_as_it_is(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, the question whether it can be written included."""
    before = file.read_bytes()

    found = said(capsys, config)

    assert {each.outcome for each in found.values()} == {"ok"}
    assert file.read_bytes() == before


def test_a_file_that_is_missing_is_not_made(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, config)

    assert "There is no file" in found["answers"].seen
    assert f"gpuqueue upgrade-db -f {config}" in found["answers"].words
    assert found["schema"].outcome == "not checked"
    assert not (config.parent / "gpuqueue.sqlite").exists()


@pytest.mark.parametrize("content", [b"", b"no database at all, and longer than its head would be"])
def test_a_file_that_no_manager_made_is_not_touched(
    content: bytes, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.parent / "gpuqueue.sqlite"
    path.write_bytes(content)

    found = said(capsys, config)

    assert "No queue manager has ever opened" in found["answers"].seen
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE gpuqueue_schema SET version_num = '9999'", "has schema 9999"),
        ("DROP TABLE gpuqueue_schema", "half-upgraded"),
        ("ALTER TABLE jobs DROP COLUMN message", "missing: jobs.message"),
    ],
)
def test_another_schema_is_named_with_the_command_that_helps(
    statement: str, says: str, config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(file, statement)

    found = said(capsys, config)

    assert found["schema"].outcome == "problem"
    assert says in found["schema"].seen
    assert f"gpuqueue upgrade-db -f {config}" in found["schema"].words


def test_a_file_that_another_program_keeps_locked_takes_no_changes(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + "c.ManagerApp.database_limit = 0.5\n")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = said(capsys, config)

    assert found["schema"].outcome == "ok"
    assert "another process kept it locked" in found["writable"].seen


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("oracle://host/name", "cannot be kept in oracle"),
        ("sqlite://", "would be lost"),
        ("postgresql://gpuqueue:secret@127.0.0.1:1/queue", "unavailable"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(
    url: str, says: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text() + f"c.ManagerApp.db_url = {url!r}\n")

    found = said(capsys, config)

    assert found["answers"].outcome == "problem"
    assert says in found["answers"].seen
    assert "secret" not in found["answers"].words


def test_a_file_on_a_share_is_warned_of(
    config: Path, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it lies on is the kernel's word; here it is put in its mouth."""
    assert database.file_system(Path("/proc/self/mounts")) == "proc"
    monkeypatch.setattr(database, "file_system", lambda path: "nfs4")

    found = said(capsys, config)

    assert (found["answers"].outcome, "lies on a share (nfs4)" in found["answers"].seen) == ("warning", True)
    assert found["schema"].outcome == "ok"

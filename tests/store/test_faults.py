"""A database that is away, locked, full or too slow: every method says so, in words and in time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, select

from gpuqueue_spawner.model import Job
from gpuqueue_spawner.store import InvalidDatabase, SchemaMismatch, Store, StoreUnavailable
from gpuqueue_spawner.store.database import Database
from gpuqueue_spawner.store.tables import leader

from .builders import everything, lead, queued, request
from .test_fence import WRITES

LIMIT_S = 0.3


@pytest.fixture
def hasty(store: Store, address: str) -> Iterator[Store]:
    """A second store on the same database, which waits a fraction of a second."""
    with closing(Store(address, timeout=LIMIT_S)) as hasty:
        yield hasty


@contextmanager
def blocked(address: str) -> Iterator[None]:
    """A foreign session keeps the lease row locked; on SQLite that is the file."""
    with closing(Database(address, timeout=60.0)) as database, database.writing() as tx:
        tx.execute(select(leader).with_for_update())
        yield


@pytest.mark.parametrize("write", WRITES)
def test_write_behind_a_lock_gives_up_in_time(store: Store, fence: int, hasty: Store, address: str, write: str) -> None:
    """A lock that nobody lets go is a worded fault after the limit; afterwards the same call succeeds."""
    job = queued(store, fence)
    with blocked(address):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"kept (it|a row) locked until the time limit \(0.3 s\)"):
            WRITES[write](hasty, job, fence)
        assert time.monotonic() - began < LIMIT_S + 5

    WRITES[write](hasty, job, fence)


def test_reading_does_not_wait_for_a_writer(store: Store, fence: int, hasty: Store, address: str) -> None:
    """The queue can be shown while somebody writes."""
    job = queued(store, fence)
    with blocked(address):
        assert hasty.jobs.open() == (job,)


def _fill(store: Store, fence: int, made: list[Job]) -> None:
    """Submit jobs with much in their options until the database refuses one; those it acknowledged are in `made`."""
    while len(made) < 1000:
        wanted = request(f"user{len(made)}", options={"filler": "x" * 8000})
        made.append(store.jobs.submit(wanted, fence=fence, at=0.0)[0])


def test_full_disk_is_a_worded_fault_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """The write that does not fit leaves nothing behind; reading goes on, and writing too once there is room."""
    address = f"sqlite:///{tmp_path}/queue.sqlite"
    with closing(Store(address)) as store:
        pages = [64]  # what the disk holds
        event.listen(
            store._database.engine,
            "connect",
            lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages[0]}").fetchone(),
        )
        store.upgrade()
        fence = lead(store)

        made: list[Job] = []
        with pytest.raises(StoreUnavailable, match="no room is left on the disk"):
            _fill(store, fence, made)
        before = everything(address)

        assert 0 < len(made) < 64
        assert store.jobs.open() == tuple(made)
        with pytest.raises(StoreUnavailable, match="no room is left"):
            store.jobs.submit(request("late", options={"x": "x" * 9000}), fence=fence, at=0.0)
        assert everything(address) == before
        store.leader.renew(fence)  # needs no new page
        store.close()
        pages[0] = 1000
        assert store.jobs.submit(request("next"), fence=fence, at=3.0)[1]


def test_file_system_that_is_full_is_a_worded_fault(full_file_system: Path) -> None:
    """The same on a file system of one megabyte that something else fills up."""
    with closing(Store(f"sqlite:///{full_file_system}/queue.sqlite")) as store:
        store.upgrade()
        fence = lead(store)
        job = queued(store, fence)
        (full_file_system / "filler").write_bytes(b"x" * _free(full_file_system))

        made = [job]
        with pytest.raises(StoreUnavailable, match="no room is left on the disk"):
            _fill(store, fence, made)

        assert store.jobs.open() == tuple(made)
        (full_file_system / "filler").unlink()
        store.leader.renew(fence)
        assert store.jobs.submit(request("next"), fence=fence, at=3.0)[1]
        store.check()


def _free(path: Path) -> int:
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b"no database" * 1000), "the file is not a database"),
        (lambda path: _scribble(path), "the file is damaged"),
    ],
)
def test_damaged_file_is_a_worded_fault(tmp_path: Path, damage: Callable[[Path], object], words: str) -> None:
    """A file that is no database any more is reported, not replaced."""
    path = tmp_path / "queue.sqlite"
    with closing(Store(f"sqlite:///{path}")) as store:
        store.upgrade()
    damage(path)
    content = path.read_bytes()

    with closing(Store(f"sqlite:///{path}")) as store:
        for access in (store.check, store.upgrade, store.jobs.open):
            with pytest.raises(StoreUnavailable, match=words):
                access()

    assert path.read_bytes() == content


def _scribble(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def test_missing_file_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    """A mistyped path does not become a new and empty queue."""
    with closing(Store(f"sqlite:///{tmp_path}/queue.sqlite")) as store:
        with pytest.raises(SchemaMismatch, match="gpuqueue upgrade-db"):
            store.check()
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            store.jobs.open()
    lost = Store(f"sqlite:///{tmp_path}/missing/queue.sqlite")
    with pytest.raises(StoreUnavailable, match=r"cannot make the file .*missing/queue.sqlite: No such file"):
        lost.upgrade()
    assert list(tmp_path.iterdir()) == []


def test_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The database and its side files can be read by nobody else, also one that came from elsewhere."""
    path = tmp_path / "queue.sqlite"
    path.touch(0o644)
    with closing(Store(f"sqlite:///{path}")) as store:
        store.upgrade()
        lead(store)
        modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}

    assert modes == {"queue.sqlite": "0o600", "queue.sqlite-wal": "0o600", "queue.sqlite-shm": "0o600"}


def test_sqlite_is_set_to_keep_what_it_acknowledged(tmp_path: Path) -> None:
    """Write-ahead log, flushed at each commit, foreign keys."""
    with closing(Store(f"sqlite:///{tmp_path}/queue ü #.sqlite")) as store:
        store.upgrade()
        with store._database.reading() as tx:
            found = [
                tx.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]

    assert found == ["wal", 2, 1]
    assert (tmp_path / "queue ü #.sqlite").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mongodb://host/queue", "cannot be kept in mongodb"),
        ("sqlite://", "memory would be lost"),
        ("sqlite:///:memory:", "memory would be lost"),
        ("sqlite:///queue.sqlite?timeout=5", "without parameters"),
        ("sqlite:////tmp/what?.sqlite", "without parameters"),
        ("no address", "not of the form"),
        ("", "not of the form"),
    ],
)
def test_address_that_cannot_hold_a_queue_is_refused(address: str, words: str) -> None:
    """At once, in words."""
    with pytest.raises(InvalidDatabase, match=words):
        Store(address)

"""A database that is away, locked, full or too slow: every method says so, in words and in time."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event

from gpuqueue_spawner.model import Job
from gpuqueue_spawner.store import InvalidDatabase, SchemaMismatch, Store, StoreUnavailable
from tests.services.postgresql import PostgreSQL, postgresql

from .builders import everything, lead, queued, request
from .test_fence import WRITES

LIMIT_S = 0.3

ACCESSES: dict[str, Callable[[Store, Job, int], object]] = {
    **WRITES,
    "leader.read": lambda store, job, fence: store.leader.read(),
    "leader.take": lambda store, job, fence: store.leader.take("x", "y", seen=None),
    "jobs.open": lambda store, job, fence: store.jobs.open(),
    "jobs.get": lambda store, job, fence: store.jobs.get(job.id),
    "jobs.by_key": lambda store, job, fence: store.jobs.by_key(job.key),
    "jobs.ended": lambda store, job, fence: store.jobs.ended(since=0.0),
    "jobs.events": lambda store, job, fence: store.jobs.events(job.id),
    "nodes.marks": lambda store, job, fence: store.nodes.marks(),
    "usage.days": lambda store, job, fence: store.usage.days(since=date(2026, 1, 1)),
    "check": lambda store, job, fence: store.check(),
    "upgrade": lambda store, job, fence: store.upgrade(),
}


@pytest.fixture
def hasty(store: Store, address: str) -> Iterator[Store]:
    """A second store on the same database, which waits a fraction of a second."""
    with closing(Store(address, timeout=LIMIT_S)) as hasty:
        yield hasty


class Blocker:
    """A foreign session that keeps a lock."""

    def __init__(self, address: str) -> None:
        self._connection: sqlite3.Connection | psycopg.Connection
        if address.startswith("sqlite"):
            self._connection = sqlite3.connect(address.removeprefix("sqlite:///"), isolation_level=None)
            self._connection.execute("BEGIN IMMEDIATE")
        else:
            self._connection = psycopg.connect(address)
            self._connection.execute("SELECT * FROM leader FOR UPDATE")

    def close(self) -> None:
        """Let go."""
        self._connection.close()


@pytest.mark.parametrize("write", WRITES)
def test_write_behind_a_lock_gives_up_in_time(store: Store, fence: int, hasty: Store, address: str, write: str) -> None:
    """A lock that nobody lets go is a worded fault after the limit; afterwards the same call succeeds."""
    job = queued(store, fence)
    with closing(Blocker(address)):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"kept (it|a row) locked until the time limit \(0.3 s\)"):
            WRITES[write](hasty, job, fence)
        assert time.monotonic() - began < LIMIT_S + 5

    WRITES[write](hasty, job, fence)


def test_reading_does_not_wait_for_a_writer(store: Store, fence: int, hasty: Store, address: str) -> None:
    """The queue can be shown while somebody writes."""
    job = queued(store, fence)
    with closing(Blocker(address)):
        assert hasty.jobs.open() == (job,)


def test_paused_leader_on_postgresql_keeps_nobody_out(server: PostgreSQL) -> None:
    """A leader stopped in the middle of a change loses its session; the next one leads after the limit."""
    address = server.database()
    with closing(Store(address, timeout=LIMIT_S)) as paused, closing(Store(address, timeout=LIMIT_S)) as other:
        paused.upgrade()
        fence = lead(paused, "paused")
        seen = other.leader.read()

        with pytest.raises(StoreUnavailable, match="stopped in the middle of a change"):
            _stop_in_the_middle(paused, fence, lambda: _insist(lambda: other.leader.take("other", "h", seen=seen)))

        assert other.leader.read().fence == fence + 1  # type: ignore[union-attr]
        assert paused.jobs.open() == ()


def _stop_in_the_middle(store: Store, fence: int, meanwhile: Callable[[], object]) -> None:
    """Submit a job, and do something else between its insertion and its commit."""

    @event.listens_for(store._database.engine, "after_cursor_execute")
    def pause(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO jobs"):
            meanwhile()

    store.jobs.submit(request(), fence=fence, at=0.0)


def _insist(work: Callable[[], object]) -> object:
    """Try again as a waiting manager does."""
    until = time.monotonic() + 10
    while True:
        try:
            return work()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise


def test_statement_that_takes_too_long_is_ended(server: PostgreSQL) -> None:
    """PostgreSQL itself ends what takes longer than the limit."""
    with closing(Store(server.database(), timeout=LIMIT_S)) as store:
        store.upgrade()
        with pytest.raises(StoreUnavailable, match="a statement took longer"), store._database.reading() as tx:
            tx.exec_driver_sql("SELECT pg_sleep(5)")


@pytest.mark.parametrize("access", ACCESSES)
def test_server_that_is_away_is_a_worded_fault(away: tuple[Store, Job, int], access: str) -> None:
    """Every method says that the connection is refused, and where to, not which line of a driver failed."""
    with pytest.raises(StoreUnavailable, match=r"connection (to server )?.*failed"):
        ACCESSES[access](*away)


@pytest.fixture(scope="module")
def away() -> Iterator[tuple[Store, Job, int]]:
    """A store whose server stopped."""
    with postgresql() as server, closing(Store(server.database(), timeout=2.0)) as store:
        store.upgrade()
        fence = lead(store)
        job = queued(store, fence)
        server.stop()
        yield store, job, fence


def test_server_that_is_stopped_is_a_worded_fault_in_time(frozen_soon: PostgreSQL) -> None:
    """A server that neither answers nor refuses costs the limit twice at most, with a connection to it or without."""
    with closing(Store(frozen_soon.database(), timeout=LIMIT_S)) as store:
        store.upgrade()
        fence = lead(store)
        job = queued(store, fence)
        frozen_soon.freeze()
        for _ in ("on its old connection", "on a new one"):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="timeout expired"):
                store.leader.renew(fence)
            assert time.monotonic() - began < 5  # libpq's least limit is 2 s, and the machine may be busy
        frozen_soon.freeze(thaw=True)

        assert store.jobs.open() == (job,)
        store.leader.renew(fence)


def test_server_that_stops_in_the_middle_of_a_write_is_a_worded_fault(frozen_soon: PostgreSQL) -> None:
    """The write is not acknowledged, and not there when the server goes on."""
    with closing(Store(frozen_soon.database(), timeout=LIMIT_S)) as store:
        store.upgrade()
        fence = lead(store)

        with pytest.raises(StoreUnavailable, match=r"the server did not answer for 0\.86 s"):
            _stop_in_the_middle(store, fence, frozen_soon.freeze)
        frozen_soon.freeze(thaw=True)

        assert store.jobs.open() == ()


@pytest.fixture
def frozen_soon() -> Iterator[PostgreSQL]:
    """A server of its own, which goes on at the end so that it can be stopped."""
    with postgresql() as server:
        yield server
        server.freeze(thaw=True)


def test_server_that_comes_back_is_used_again() -> None:
    """A restart of the server costs at most the calls made during it; nothing acknowledged is lost."""
    with postgresql() as server, closing(Store(server.database(), timeout=2.0)) as store:
        store.upgrade()
        fence = lead(store)
        job = queued(store, fence)

        server.stop()
        with pytest.raises(StoreUnavailable):
            store.jobs.open()
        server.start()

        assert store.jobs.open() == (job,)
        store.leader.renew(fence)


def test_wrong_database_or_user_is_a_worded_fault(server: PostgreSQL) -> None:
    """Neither shows a driver's trace, and no password."""
    with (
        closing(Store(server.address("nowhere"), timeout=2.0)) as store,
        pytest.raises(StoreUnavailable, match="nowhere"),
    ):
        store.check()
    address = server.address("postgres").replace("gpuqueue@", "stranger:secret-word@")
    with closing(Store(address, timeout=2.0)) as store, pytest.raises(StoreUnavailable, match="stranger") as refused:
        store.check()
    assert "secret-word" not in f"{refused.value!r} {refused.value}"


def test_server_that_only_reads_is_a_worded_fault(server: PostgreSQL) -> None:
    """A standby refuses writes with a reason."""
    address = server.database()
    with closing(Store(address)) as store:
        store.upgrade()
        store._database.close()
    with psycopg.connect(address, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    with closing(Store(address)) as store, pytest.raises(StoreUnavailable, match="only allows reading"):
        lead(store)


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


def test_postgresql_keeps_what_it_acknowledged_whatever_the_site_set(server: PostgreSQL) -> None:
    """A site's default of less is raised, one of more is left alone."""
    address = server.database()
    for site, ours in (("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")):
        with psycopg.connect(address, autocommit=True) as connection:
            statement = f"ALTER DATABASE {connection.info.dbname} SET synchronous_commit = {site}"
            connection.execute(statement.encode())
        with closing(Store(address)) as store, store._database.reading() as tx:
            assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == ours
            assert tx.exec_driver_sql("SHOW lock_timeout").scalar() == "9s"


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

"""A server that is away, killed, frozen, restarted or set up by somebody else, in the middle of each kind of write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date

import pytest
from sqlalchemy import event

from gpuqueue_spawner.model import Event, Job
from gpuqueue_spawner.store import InvalidDatabase, Store, StoreUnavailable
from gpuqueue_spawner.store.database import Database
from tests.services.database import DatabaseServer
from tests.services.mariadb import MariaDB, mariadb
from tests.services.postgresql import PostgreSQL, postgresql

from .builders import ended, everything, lead, queued, request, rows
from .conftest import SERVERS
from .test_fence import WRITES
from .test_kill import check_whole

LIMIT_S = 0.3
PATIENCE_S = 30.0  # of a test, on a machine that does other things too

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


Deed = Callable[[DatabaseServer], object]

DEEDS: dict[str, tuple[Deed, Deed]] = {  #: what happens to a server, and how it comes back
    "killed": (lambda server: server.kill(), lambda server: server.start()),
    "restarted": (lambda server: (server.stop(), server.start()), lambda server: None),
    "frozen": (lambda server: server.freeze(), lambda server: server.freeze(thaw=True)),
}


@pytest.fixture(scope="module", params=SERVERS)
def stopped_now_and_then(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A server, of each kind, that only these tests use."""
    with postgresql() if request.param == "postgresql" else mariadb() as server:
        yield server


@pytest.fixture
def own(stopped_now_and_then: DatabaseServer) -> Iterator[DatabaseServer]:
    """That server, which a test may stop and leave so."""
    server = stopped_now_and_then
    yield server
    server.freeze(thaw=True)
    if not server.running:
        server.start()


def prepared(address: str) -> tuple[Job, int]:
    """Give each write something to change, by a store that is in no hurry; returns a job that waits, and the fence."""
    with closing(Store(address, timeout=60.0)) as store:
        store.upgrade()
        fence = lead(store)
        ended(store, fence, "gone")
        return queued(store, fence), fence


@pytest.fixture
def written(own: DatabaseServer) -> Iterator[tuple[Store, Job, int]]:
    """A store on that server."""
    address = own.database()
    job, fence = prepared(address)
    with closing(Store(address, timeout=2.0)) as store:
        yield store, job, fence


def _address(store: Store) -> str:
    return store._database.url.render_as_string(hide_password=False)


@contextmanager
def once(store: Store, work: Callable[[], object], *, hook: str = "after_cursor_execute") -> Iterator[None]:
    """Do something in the middle of the next write: before or after its first change, or before its commit."""
    engine = store._database.engine
    done = False

    def interrupt(_connection: object, _cursor: object = None, statement: str = "UPDATE", *_: object) -> None:
        nonlocal done
        if not done and statement.startswith(("INSERT", "UPDATE", "DELETE")):
            done = True
            work()

    event.listen(engine, hook, interrupt)
    try:
        yield
    finally:
        event.remove(engine, hook, interrupt)


def _insist(work: Callable[[], object]) -> object:
    """Try again as a waiting manager does."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return work()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("deed", DEEDS)
def test_server_that_fails_in_the_middle_of_a_write_keeps_nothing_of_it(
    own: DatabaseServer, written: tuple[Store, Job, int], deed: str, write: str
) -> None:
    """The write is a worded fault in time; what was acknowledged before is there, and the next write goes through."""
    store, job, fence = written
    fail, recover = DEEDS[deed]
    before = everything(_address(store))

    # a change that stands alone: after it only the commit is left, which a server that goes on would still make
    hook = "after_cursor_execute" if write.startswith("jobs.") else "before_cursor_execute"
    with once(store, lambda: fail(own), hook=hook), pytest.raises(StoreUnavailable):
        WRITES[write](store, job, fence)
    recover(own)

    assert _insist(lambda: everything(_address(store))) == before
    _insist(lambda: WRITES[write](store, job, fence))
    assert everything(_address(store)) != before
    check_whole(store, _address(store))


@pytest.mark.parametrize("write", ["jobs.submit", "jobs.apply", "jobs.expire"])
@pytest.mark.parametrize("deed", DEEDS)
def test_server_that_fails_at_the_commit_keeps_all_or_nothing(
    own: DatabaseServer, written: tuple[Store, Job, int], deed: str, write: str
) -> None:
    """Nobody knows how it ended, so nothing is acknowledged and nothing is tried again by itself."""
    store, job, fence = written
    fail, recover = DEEDS[deed]

    with once(store, lambda: fail(own), hook="commit"), pytest.raises(StoreUnavailable):
        WRITES[write](store, job, fence)
    recover(own)

    _insist(store.jobs.open)
    check_whole(store, _address(store))


def test_server_that_is_slow_for_a_moment_is_waited_for(own: DatabaseServer) -> None:
    """Shorter than the limit: the write goes through."""
    address = own.database()
    job, fence = prepared(address)
    thaw = threading.Timer(0.5, lambda: own.freeze(thaw=True))

    with closing(Store(address, timeout=60.0)) as store:
        with once(store, lambda: (own.freeze(), thaw.start())):
            moved = store.jobs.apply(job, Event.HOLD, fence=fence, at=1.0)

        thaw.join()
        assert store.jobs.get(job.id) == moved


def test_server_that_is_silent_costs_the_limit_twice_at_most(own: DatabaseServer) -> None:
    """With a connection to it or without: a worded fault in time, and everything is there when it goes on."""
    address = own.database()
    job, fence = prepared(address)
    with closing(Store(address, timeout=LIMIT_S)) as store:
        _insist(store.leader.read)
        own.freeze()
        for _ in ("on its old connection", "on a new one"):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"timeout expired|did not answer"):
                store.leader.renew(fence)
            assert time.monotonic() - began < 15  # the drivers' least limits add up to 5 s
        own.freeze(thaw=True)

        assert _insist(store.jobs.open) == (job,)
        _insist(lambda: store.leader.renew(fence))


@pytest.fixture(scope="module")
def away(stopped_now_and_then: DatabaseServer) -> Iterator[tuple[Store, Job, int]]:
    """A store whose server stopped."""
    address = stopped_now_and_then.database()
    job, fence = prepared(address)
    stopped_now_and_then.stop()
    with closing(Store(address, timeout=2.0)) as store:
        yield store, job, fence
    stopped_now_and_then.start()


@pytest.mark.parametrize("access", ACCESSES)
def test_server_that_is_away_is_a_worded_fault(away: tuple[Store, Job, int], access: str) -> None:
    """Every method says that the connection is refused, and where to, not which line of a driver failed."""
    with pytest.raises(StoreUnavailable, match=r"connection (to server )?.*failed|Can't connect to .*server on"):
        ACCESSES[access](*away)


_PAUSED = r"stopped in the middle of a change|the connection broke"  # MariaDB gives no reason


def test_paused_leader_keeps_nobody_out(server: DatabaseServer) -> None:
    """A leader stopped in the middle of a change loses its session; the next one leads after the limit."""
    address = server.database()
    job, fence = prepared(address)
    with closing(Store(address, timeout=2.0)) as paused, closing(Store(address, timeout=2.0)) as other:
        seen = other.leader.read()

        def meanwhile() -> None:
            _insist(lambda: other.leader.take("other", "h", seen=seen))

        with once(paused, meanwhile), pytest.raises(StoreUnavailable, match=_PAUSED):
            paused.jobs.submit(request(), fence=fence, at=0.0)

        assert other.leader.read().fence == fence + 1  # type: ignore[union-attr]
        assert paused.jobs.open() == (job,)


@pytest.mark.parametrize(("kind", "sleep"), [("postgresql", "pg_sleep"), ("mariadb", "sleep")])
def test_statement_that_takes_too_long_is_ended(kind: str, sleep: str, request: pytest.FixtureRequest) -> None:
    """The server itself ends what takes longer than the limit."""
    server: DatabaseServer = request.getfixturevalue(f"{kind}_server")
    database = Database(server.database(), timeout=LIMIT_S)
    with closing(database), pytest.raises(StoreUnavailable, match="a statement took longer"), database.reading() as tx:
        tx.exec_driver_sql(f"SELECT {sleep}(60)")


def test_wrong_database_or_user_is_a_worded_fault(server: DatabaseServer) -> None:
    """Neither shows a driver's trace, and no password."""
    with closing(Store(server.address("nowhere"), timeout=2.0)) as store, pytest.raises(StoreUnavailable) as refused:
        store.check()
    assert "nowhere" in refused.value.cause
    address = server.database().replace("gpuqueue@", "stranger:secret-word@")
    with closing(Store(address, timeout=2.0)) as store, pytest.raises(StoreUnavailable, match="stranger") as refused:
        store.check()
    assert "secret-word" not in f"{refused.value!r} {refused.value}"


@pytest.mark.parametrize(
    ("kind", "setting", "back"),
    [
        ("postgresql", "ALTER DATABASE {name} SET default_transaction_read_only = on", "SELECT 1"),
        ("mariadb", "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
    ],
)
def test_server_that_only_reads_is_a_worded_fault(
    kind: str, setting: str, back: str, request: pytest.FixtureRequest
) -> None:
    """A standby refuses writes with a reason."""
    server: DatabaseServer = request.getfixturevalue(f"{kind}_server")
    address = server.database()
    with closing(Store(address)) as store:
        store.upgrade()
        name = store._database.url.database
    server.administer(setting.format(name=name))
    try:
        with closing(Store(address)) as store, pytest.raises(StoreUnavailable, match="only allows reading"):
            lead(store)
    finally:
        server.administer(back)


def test_postgresql_keeps_what_it_acknowledged_whatever_the_site_set(postgresql_server: PostgreSQL) -> None:
    """A site's default of less is raised, one of more is left alone."""
    address = postgresql_server.database()
    for site, ours in (("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")):
        with closing(Store(address)) as store:
            name = store._database.url.database
            postgresql_server.administer(f"ALTER DATABASE {name} SET synchronous_commit = {site}")
            with store._database.reading() as tx:
                assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == ours
                assert tx.exec_driver_sql("SHOW lock_timeout").scalar() == "9s"


def test_mariadb_that_may_lose_what_it_acknowledged_is_refused(mariadb_server: MariaDB) -> None:
    """No session can raise that setting for itself: the site is told which one it is and what it could be."""
    with closing(Store(mariadb_server.database())) as store:
        store.upgrade()
        for site, refused in ((2, True), (0, True), (3, False), (1, False)):
            mariadb_server.administer(f"SET GLOBAL innodb_flush_log_at_trx_commit = {site}")
            for access in (store.check, store.upgrade):
                if refused:
                    with pytest.raises(InvalidDatabase, match=rf"flush_log_at_trx_commit is {site} .*possible: 1"):
                        access()
                else:
                    access()


def test_mariadb_works_the_same_whatever_the_site_set(mariadb_server: MariaDB) -> None:
    """The test's server has an old site's settings; a session of the queue has its own."""
    expected = {
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
        "tx_isolation": "READ-COMMITTED",
        "default_storage_engine": "InnoDB",
        "innodb_lock_wait_timeout": 9,
        "max_statement_time": 10.0,
        "idle_transaction_timeout": 10,
        "autocommit": 0,
        "character_set_connection": "utf8mb4",
    }
    address = mariadb_server.database()
    with closing(Store(address)) as store:
        store.upgrade()
        with store._database.reading() as tx:
            found = {name: tx.exec_driver_sql(f"SELECT @@SESSION.{name}").scalar() for name in expected}
            others = tx.exec_driver_sql("SELECT @@GLOBAL.sql_mode, @@GLOBAL.tx_isolation").one()
    assert found == expected
    assert tuple(others) == ("PIPES_AS_CONCAT,ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH", "SERIALIZABLE")
    assert {engine for (engine,) in rows(address, f"{_TABLES} AND engine IS NOT NULL")} == {"InnoDB"}


_TABLES = "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE()"

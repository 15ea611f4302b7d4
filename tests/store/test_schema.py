"""How a database gets this version's tables, and what happens with one of another version."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData

from gpuqueue_spawner.model import Constraints, Event
from gpuqueue_spawner.store import InvalidDatabase, SchemaMismatch, Store, StoreUnavailable
from gpuqueue_spawner.store.database import Database
from gpuqueue_spawner.store.schema import MIGRATIONS, VERSIONS, Schema
from gpuqueue_spawner.store.tables import metadata
from tests.services.database import DatabaseServer
from tests.services.mariadb import MariaDB

from .builders import everything, later_version, lead, on, queued, rows


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """The steps of a later version."""
    return later_version(tmp_path / "next")


@pytest.fixture
def broken_version(tmp_path: Path) -> Path:
    """The steps of a later version whose last one fails in the middle."""
    return later_version(tmp_path / "broken", 'op.drop_table("usage_days")\n    op.execute("SELECT * FROM nowhere")')


def test_empty_database_gets_the_schema_of_the_tables_module(store: Store, address: str) -> None:
    """The steps from nothing lead exactly to what the code works with: tables, columns, types, indexes."""
    with closing(Database(address, timeout=10.0)) as database, database.reading() as tx:
        context = MigrationContext.configure(tx, opts={"version_table": VERSIONS, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    store.check()


def test_upgrade_twice_changes_nothing(store: Store, address: str) -> None:
    """A database that is up to date is left alone, with all that is in it."""
    queued(store, lead(store))
    before = everything(address)

    store.upgrade()

    assert everything(address) == before


def test_database_without_schema_is_refused_with_the_command(address: str) -> None:
    """Nothing is made on the way."""
    with closing(Store(address)) as store:
        with pytest.raises(SchemaMismatch, match="run `gpuqueue upgrade-db`") as refused:
            store.check()
        assert (refused.value.found, refused.value.expected) == (None, "0004")
        with pytest.raises(SchemaMismatch):
            store.check()


def test_old_schema_is_refused_with_the_command_and_upgraded_by_it(
    store: Store, address: str, next_version: Path
) -> None:
    """A later version does not work with this one's tables; its upgrade keeps every row."""
    job = queued(store, lead(store))
    before = everything(address)
    with closing(Database(address, timeout=10.0)) as database:
        later = Schema(database, migrations=next_version)

        with pytest.raises(SchemaMismatch, match=r"has schema 0004.* works with 9999: run `gpuqueue upgrade-db`"):
            later.check()
        later.upgrade()

        later.check()
    assert rows(address, "SELECT id, colour FROM jobs") == [(job.id, "red")]
    after = everything(address)
    assert {**after, "jobs": [row[:-1] for row in after["jobs"]]} == before


def test_jobs_of_the_first_schema_demand_nothing_of_a_node_and_have_failed_on_none(store: Store, address: str) -> None:
    """Its tables become those of this version, with every row."""
    job = queued(store, lead(store))
    for added in ("node_rules", "failed_on", "others"):
        rows(address, f"ALTER TABLE jobs DROP COLUMN {added}")
    rows(address, "UPDATE gpuqueue_schema SET version_num = '0001'")
    with pytest.raises(SchemaMismatch, match=r"has schema 0001.* works with 0004"):
        store.check()

    store.upgrade()

    store.check()
    assert store.jobs.open() == (job,)
    assert (job.constraints, job.failed_on) == (Constraints(), ())


def test_new_schema_is_refused_by_old_code(store: Store, address: str, next_version: Path) -> None:
    """A manager of this version keeps off a database that a later version upgraded, and cannot break it."""
    with closing(Database(address, timeout=10.0)) as database:
        Schema(database, migrations=next_version).upgrade()

    for access in (store.check, store.upgrade):
        with pytest.raises(SchemaMismatch, match="install the version of gpuqueue that made it") as refused:
            access()
        assert refused.value.found == "9999"


def test_a_manager_that_runs_goes_on_while_a_later_version_upgrades(
    store: Store, address: str, next_version: Path
) -> None:
    """The chart upgrades the database before it replaces the managers: none of their writes fails meanwhile."""
    fence, done, written = lead(store), threading.Event(), 0

    def upgrade() -> None:
        with closing(Database(address, timeout=10.0)) as database:
            Schema(database, migrations=next_version).upgrade()
        done.set()

    later = threading.Thread(target=upgrade)
    later.start()
    while not done.is_set() or written < 20:
        job = queued(store, fence, f"user{written}")
        store.jobs.apply(job, Event.ADMIT, fence=fence, at=1.0, placement=on("n1", f"gpu{written}"))
        store.leader.renew(fence)
        written += 1
    later.join()

    assert len(store.jobs.open()) == written
    assert rows(address, "SELECT DISTINCT colour FROM jobs") == [("red",)]
    assert lead(store, "who stood by") == fence + 1
    with pytest.raises(SchemaMismatch, match="install the version of gpuqueue that made it"):
        store.check()


def _steps_so_far() -> list[tuple[str, str]]:
    """Each step's revision, with the one before."""
    folder = Config()
    folder.set_main_option("script_location", str(MIGRATIONS))
    found = [(str(step.down_revision), step.revision) for step in ScriptDirectory.from_config(folder).walk_revisions()]
    return sorted(found)[:-1]  # the first one starts from nothing


def _to(database: Database, revision: str) -> None:
    """Bring a database to a revision in between, which no version does."""
    config = Schema(database)._config
    with database.upgrading() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, revision)


def _sample(column: Column[Any]) -> object:
    """A value of its type."""
    return datetime.date(2026, 12, 1) if column.type.python_type is datetime.date else column.type.python_type(2)


@pytest.mark.parametrize(("before", "after"), _steps_so_far())
def test_every_step_leaves_the_version_before_it_able_to_work(address: str, before: str, after: str) -> None:
    """It only adds, and what it adds need not be given: every table takes, shows, changes and loses rows as before."""
    if address.startswith("sqlite"):
        Path(address.removeprefix("sqlite:///")).touch()
    old = MetaData()
    with closing(Database(address, timeout=10.0)) as database:
        _to(database, before)
        with database.reading() as tx:
            old.reflect(tx)
        _to(database, after)

        with database.writing() as tx:
            tables = [table for table in old.sorted_tables if table.name != VERSIONS]
            for table in tables:
                values = {column.name: _sample(column) for column in table.columns}
                tx.execute(table.insert().values(values))
                assert values.items() <= dict(tx.execute(table.select()).mappings().all()[-1]).items()
                key = next(iter(table.primary_key))
                tx.execute(table.update().values(values).where(key == values[key.name]))
            for table in reversed(tables):
                assert tx.execute(table.delete()).rowcount
    assert len(tables) == len(metadata.tables)


def _fails(address: str, steps: Path) -> None:
    with closing(Database(address, timeout=10.0)) as database, pytest.raises(Exception, match="table is missing"):
        Schema(database, migrations=steps).upgrade()


def test_step_that_fails_leaves_the_old_schema_whole(
    store: Store, address: str, backend: str, broken_version: Path
) -> None:
    """An upgrade happens as a whole or not at all; old code goes on. MySQL cannot do that: the tests below."""
    if backend == "mariadb":
        return
    queued(store, lead(store))
    before = everything(address)

    _fails(address, broken_version)

    store.check()
    assert everything(address) == before


@pytest.fixture
def mariadb(mariadb_server: DatabaseServer) -> str:
    """An empty database of a server that commits each change of a table at once."""
    return mariadb_server.database()


def test_upgrade_that_stopped_in_the_middle_is_known_as_such(mariadb: str, broken_version: Path) -> None:
    """Neither old nor new code works with tables of which nobody knows what they are, and no row is touched."""
    with closing(Store(mariadb)) as store:
        store.upgrade()
        queued(store, lead(store))
        _fails(mariadb, broken_version)

        for access in (store.check, store.upgrade):
            with pytest.raises(SchemaMismatch, match=r"an upgrade from 0004 has not ended.*restore a backup"):
                access()
    assert rows(mariadb, "SELECT user_name FROM jobs") == [("alice",)]


def test_upgrade_that_failed_before_it_changed_anything_is_tried_again(
    mariadb: str, tmp_path: Path, next_version: Path
) -> None:
    """A first step that the server refuses costs nothing."""
    nothing_done = later_version(
        tmp_path / "nothing", 'op.execute("UPDATE leader SET beat = 7, fence = (SELECT x FROM no)")'
    )
    with closing(Store(mariadb)) as store, closing(Database(mariadb, timeout=10.0)) as database:
        store.upgrade()
        queued(store, lead(store))
        before = everything(mariadb)

        _fails(mariadb, nothing_done)

        store.check()
        assert everything(mariadb) == before
        Schema(database, migrations=next_version).upgrade()
        Schema(database, migrations=next_version).check()


def test_first_upgrade_that_stopped_in_the_middle_starts_over(mariadb: str, broken_version: Path) -> None:
    """What made tables in an empty database and was killed is run again; nobody works with its tables meanwhile."""
    _fails(mariadb, broken_version)
    with closing(Store(mariadb)) as store:
        with pytest.raises(SchemaMismatch, match=r"an upgrade from nothing has not ended.*run `gpuqueue upgrade-db`"):
            store.check()

        store.upgrade()

        store.check()
        queued(store, lead(store))
    assert rows(mariadb, "SHOW TABLES LIKE 'gpuqueue%'") == [("gpuqueue_schema",)]


def _upgrade(database: Database, work: Callable[[Connection], object]) -> None:
    with database.upgrading() as tx:
        work(tx)


def test_upgrade_that_is_killed_lets_the_next_one_in(mariadb: str, mariadb_server: MariaDB) -> None:
    """The lock that keeps two upgrades apart ends with its session."""
    with closing(Database(mariadb, timeout=1.0)) as first, closing(Store(mariadb, timeout=1.0)) as second:

        def meanwhile(tx: Connection) -> None:
            with pytest.raises(StoreUnavailable, match="another upgrade of it took longer"):
                second.upgrade()
            mariadb_server.administer(f"KILL {tx.exec_driver_sql('SELECT CONNECTION_ID()').scalar_one()}")

        with pytest.raises(StoreUnavailable, match=r"told to end the connection|connection broke"):
            _upgrade(first, meanwhile)
        second.upgrade()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("DROP TABLE gpuqueue_schema", "is half-upgraded .it has held_devices, job_events.*no revision"),
        ("DELETE FROM gpuqueue_schema", "is half-upgraded .it has held_devices, job_events.*no revision"),
        ("DROP TABLE usage_days", "is half-upgraded .missing: usage_days.gpu_seconds, usage_days.jobs"),
        ("ALTER TABLE jobs DROP COLUMN message", "is half-upgraded .missing: jobs.message"),
        ("UPDATE gpuqueue_schema SET version_num = 'abcd'", "has schema abcd"),
        ("INSERT INTO gpuqueue_schema VALUES ('0000')", "has schema 0000, 0004"),
    ],
)
def test_half_upgraded_schema_is_refused_and_left_alone(store: Store, address: str, damage: str, words: str) -> None:
    """What is not one whole version is named, with what is missing, by check() and upgrade() alike."""
    queued(store, lead(store))
    rows(address, damage)

    for access in (store.check, store.upgrade):
        with pytest.raises(SchemaMismatch, match=words) as refused:
            access()
        assert "gpuqueue upgrade-db" in str(refused.value)

    assert rows(address, "SELECT user_name FROM jobs") == [("alice",)]


def test_two_upgrades_at_once_are_one_after_the_other(address: str) -> None:
    """Two managers that start on an empty database both find it ready afterwards."""
    faults: list[BaseException] = []

    def upgrade() -> None:
        try:
            with closing(Store(address)) as store:
                gate.wait()
                store.upgrade()
                store.check()
        except BaseException as error:  # shown below, by the test's own thread
            faults.append(error)

    gate = threading.Barrier(2)
    threads = [threading.Thread(target=upgrade) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []


def test_queue_shares_a_database_with_a_hub(address: str) -> None:
    """Tables of others, also another Alembic's, are neither touched nor in the way."""
    with closing(Store(address)) as store:
        if address.startswith("sqlite"):
            Path(address.removeprefix("sqlite:///")).touch()
        rows(address, "CREATE TABLE alembic_version (version_num VARCHAR(32))")
        rows(address, "INSERT INTO alembic_version VALUES ('hub')")

        store.upgrade()

        store.check()
    assert rows(address, "SELECT * FROM alembic_version") == [("hub",)]


@pytest.mark.parametrize(
    ("kind", "statement", "words"),
    [
        ("postgresql", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", "LATIN1"),
        ("mariadb", "CREATE DATABASE latin CHARACTER SET latin1", "latin1, names need one made with .* utf8mb4"),
    ],
)
def test_database_of_another_encoding_is_refused(
    kind: str, statement: str, words: str, request: pytest.FixtureRequest
) -> None:
    """Names of every language must fit."""
    server: DatabaseServer = request.getfixturevalue(f"{kind}_server")
    server.administer(statement)
    server.administer("GRANT ALL ON latin.* TO gpuqueue@localhost" if kind == "mariadb" else "SELECT 1")
    with closing(Store(server.address("latin"))) as store, pytest.raises(InvalidDatabase, match=words):
        store.upgrade()

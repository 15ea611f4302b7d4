"""A copy of a database is the queue at one moment: of SQLite our own, of PostgreSQL its own."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from pathlib import Path

import pytest

from gpuqueue_spawner.model import Event
from gpuqueue_spawner.store import BackupRefused, Store, StoreUnavailable
from tests.services.postgresql import PostgreSQL

from .builders import admitted, everything, lead, on, queued, rows


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The address of a queue in a file."""
    return f"sqlite:///{tmp_path}/queue.sqlite"


def _write(address: str, fence: int, started: multiprocessing.synchronize.Event) -> None:
    """A process that admits and cancels jobs until it is killed: a job holds a device exactly while it is admitted."""
    with closing(Store(address)) as store:
        for n in range(100_000):
            job = queued(store, fence, f"user{n}")
            job = store.jobs.apply(job, Event.ADMIT, fence=fence, at=1.0, placement=on("n1", f"gpu{n % 8}"))
            if n % 3:
                store.jobs.apply(job, Event.CANCEL, fence=fence, at=2.0)
            elif n >= 8:
                store.jobs.expire(before=5.0, fence=fence)
            if n == 4:
                started.set()


def test_copy_taken_while_a_writer_runs_is_consistent(source: str, tmp_path: Path) -> None:
    """Several copies during heavy writing: each opens, is whole, and its jobs, devices and stories agree."""
    with closing(Store(source)) as store:
        store.upgrade()
        fence = lead(store)
        spawn = multiprocessing.get_context("spawn")
        started = spawn.Event()
        writer = spawn.Process(target=_write, args=(source, fence, started))
        writer.start()
        try:
            assert started.wait(60)
            for n in range(8):
                store.backup(tmp_path / f"copy{n}")
        finally:
            writer.kill()
            writer.join()

    counts = []
    for n in range(8):
        copy = f"sqlite:///{tmp_path}/copy{n}"
        with closing(Store(copy)) as store:
            store.check()
            holding = {(device, job.id) for job in store.jobs.open() for device in _devices(job.placement)}
            assert {(device, job) for _, device, job in everything(copy)["held_devices"]} == holding
            for job in (*store.jobs.open(), *store.jobs.ended(since=0.0)):
                story = store.jobs.events(job.id)
                assert [line.version for line in story] == list(range(1, job.version + 1))
                assert story[-1].state is job.state
            counts.append(rows(copy, "SELECT max(seq) FROM job_events")[0][0])
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]  # the writer went on meanwhile


def _devices(placement: object) -> tuple[str, ...]:
    return getattr(placement, "devices", ())


def test_copy_is_one_file_for_its_owner_only_and_works_as_a_queue(source: str, tmp_path: Path) -> None:
    """No side files are needed to bring it elsewhere; the leader of the original is known in it, but not alive."""
    with closing(Store(source)) as store:
        store.upgrade()
        job = queued(store, lead(store))
        store.backup(tmp_path / "copy")

    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy"]
    assert oct((tmp_path / "copy").stat().st_mode & 0o777) == "0o600"
    with closing(Store(f"sqlite:///{tmp_path}/copy")) as store:
        assert store.jobs.open() == (job,)
        store.jobs.apply(job, Event.CANCEL, fence=lead(store), at=1.0)


@pytest.mark.parametrize("name", ["queue.sqlite", "other"])
def test_existing_file_is_not_overwritten(source: str, tmp_path: Path, name: str) -> None:
    """Least of all the database itself."""
    (tmp_path / "other").write_text("precious")
    with closing(Store(source)) as store:
        store.upgrade()
        before = (tmp_path / name).read_bytes()

        with pytest.raises(BackupRefused, match="exists already"):
            store.backup(tmp_path / name)

        assert (tmp_path / name).read_bytes() == before


def test_copy_that_cannot_be_written_is_a_worded_fault(source: str, tmp_path: Path) -> None:
    """A missing folder is named."""
    with closing(Store(source)) as store:
        store.upgrade()
        with pytest.raises(StoreUnavailable, match=r"cannot write .*missing/copy.part: No such file"):
            store.backup(tmp_path / "missing" / "copy")


def test_copy_onto_a_full_disk_leaves_nothing_behind(source: str, full_file_system: Path) -> None:
    """Half a copy is no copy."""
    with closing(Store(source)) as store:
        store.upgrade()
        fence = lead(store)
        for n in range(150):
            queued(store, fence, f"user{n}", options={"x": "x" * 9000})

        with pytest.raises(StoreUnavailable, match="no room is left"):
            store.backup(full_file_system / "copy")

    assert list(full_file_system.iterdir()) == []


def test_source_that_is_missing_makes_no_copy(source: str, tmp_path: Path) -> None:
    """Not an empty one either."""
    with closing(Store(source)) as store, pytest.raises(StoreUnavailable, match="cannot be opened"):
        store.backup(tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_other_databases_are_left_to_their_own_tools() -> None:
    """A clear refusal that names the tool."""
    with closing(Store("postgresql://host/queue")) as store, pytest.raises(BackupRefused, match="pg_dump"):
        store.backup(Path("copy"))


def test_dump_of_postgresql_brings_everything_back_as_the_guide_says(postgresql_server: PostgreSQL) -> None:
    """Over what was written since, in one transaction; and the queue goes on with it."""
    address, dump = postgresql_server.database(), postgresql_server.folder / "gpuqueue.dump"
    with closing(Store(address)) as store:
        store.upgrade()
        fence = lead(store)
        admitted(store, fence, "alice")
        queued(store, fence, "bob")
        before = everything(address)
        postgresql_server.tool("pg_dump", "--format=custom", f"--file={dump}", address)
        queued(store, fence, "carol")

    how = ("--clean", "--if-exists", "--single-transaction")
    postgresql_server.tool("pg_restore", *how, f"--dbname={address}", dump)

    assert everything(address) == before
    with closing(Store(address)) as store:
        store.check()
        assert queued(store, lead(store), "dan").id == 3

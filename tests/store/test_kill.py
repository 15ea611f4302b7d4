"""A writer that is killed loses nothing that it acknowledged and leaves nothing half done; the next one goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gpuqueue_spawner.store import Store, StoreUnavailable

from .builders import check_whole, everything, lead, queued

ROOT = Path(__file__).parents[2]


@contextmanager
def writer(address: str, fence: int, *inside: str) -> Iterator[subprocess.Popen[str]]:
    """The writing program, which is killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.store.writer", address, str(fence), *inside]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.mark.parametrize("round_", range(3))
def test_writer_killed_at_a_random_moment_loses_nothing_acknowledged(
    store: Store, fence: int, address: str, round_: int
) -> None:
    """kill -9 anywhere: every acknowledged version is there, and at most one write more than that."""
    seed = random.randrange(2**32)  # noqa: S311  # chance, not a secret
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)  # noqa: S311
    acknowledged: list[tuple[int, int]] = []

    with writer(address, fence) as process:
        assert process.stdout
        for _ in range(chance.randrange(1, 60)):
            id, version = process.stdout.readline().split()
            acknowledged.append((int(id), int(version)))
        time.sleep(chance.random() * 0.02)  # not at the end of a write, where reading its line leads to
        process.kill()
        acknowledged += [(int(id), int(version)) for id, version in map(str.split, process.stdout)]

    found = {job.id: job.version for job in (*store.jobs.open(), *store.jobs.ended(since=0.0, limit=10_000))}
    assert all(found[id] >= version for id, version in acknowledged)
    assert sum(found.values()) - len(acknowledged) in (0, 1)
    check_whole(store, address)
    assert queued(store, lead(store), "next").id > max(found)


@pytest.mark.parametrize(
    "inside", ["INSERT INTO jobs", "INSERT INTO job_events", "UPDATE jobs", "INSERT INTO held_devices"]
)
def test_writer_killed_in_the_middle_of_a_write_leaves_no_trace_of_it(
    store: Store, fence: int, address: str, inside: str
) -> None:
    """The unfinished transaction is gone, its lock too: the next leader writes at once."""
    with writer(address, fence, inside) as process:
        assert process.stdout
        acknowledged = [tuple(map(int, line.split())) for line in iter(process.stdout.readline, "inside\n")]
        before = everything(address)
        process.kill()
        process.wait()

        assert everything(address) == before
        assert [(job.id, job.version) for job in store.jobs.open()] == acknowledged
        check_whole(store, address)
        began = time.monotonic()
        queued(store, lead(store), "next")
        assert time.monotonic() - began < 5


def test_stopped_writer_on_sqlite_blocks_writers_until_it_ends_and_readers_never(tmp_path: Path) -> None:
    """A known limit of a file: a process that is stopped between two statements keeps its lock, worded as such."""
    address = f"sqlite:///{tmp_path}/queue.sqlite"
    with closing(Store(address)) as first:
        first.upgrade()
        fence = lead(first)
    with closing(Store(address, timeout=0.2)) as store, writer(address, fence, "INSERT INTO jobs") as process:
        assert process.stdout
        assert process.stdout.readline() == "inside\n"
        os.kill(process.pid, signal.SIGSTOP)

        with pytest.raises(StoreUnavailable, match="another process kept it locked"):
            lead(store, "next")
        assert store.jobs.open() == ()

        process.kill()
        process.wait()
        assert lead(store, "next") == fence + 1

"""Records for tests, where only what matters is named, and a store brought into a situation."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from gpuqueue_spawner.model import End, Event, Job, NewJob, Placement, Resources
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.store import Store
from gpuqueue_spawner.store.database import Database
from gpuqueue_spawner.store.schema import MIGRATIONS

_requests = itertools.count(1)


def request(user: str = "alice", server: str = "", *, gpus: int = 1, **fields: Any) -> NewJob:
    """What a spawner posts."""
    fields = {"request": f"request-{next(_requests)}", "lease": 3600.0, **fields}
    return NewJob(user=user, server=server, resources=Resources(gpus={NVIDIA_GPU: gpus}), **fields)


def on(node: str, *devices: str) -> Placement:
    """A placement."""
    return Placement(node=node, devices=devices)


def lead(store: Store, holder: str = "manager") -> int:
    """Become the leader, whoever it was; returns the fence."""
    fence = store.leader.take(holder, "host", seen=store.leader.read())
    assert fence is not None
    return fence


def queued(store: Store, fence: int, user: str = "alice", server: str = "", *, at: float = 0.0, **fields: Any) -> Job:
    """A job that waits."""
    job, new = store.jobs.submit(request(user, server, **fields), fence=fence, at=at)
    assert new
    return job


def admitted(store: Store, fence: int, user: str = "alice", *, devices: tuple[str, ...] = ("gpu0",)) -> Job:
    """A job that holds devices of node n1."""
    job = queued(store, fence, user)
    return store.jobs.apply(job, Event.ADMIT, fence=fence, at=1.0, admitted=1.0, placement=on("n1", *devices))


def ended(store: Store, fence: int, user: str = "alice", *, at: float = 0.0, end: End = End.CANCELLED) -> Job:
    """A job that ended without ever being admitted."""
    return store.jobs.apply(queued(store, fence, user, at=at), Event.CANCEL, fence=fence, at=at, end=end)


def behind(url: str) -> Engine:
    """The database behind the store's back."""
    return Database(url, timeout=30.0).engine


def rows(url: str, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement behind the store's back."""
    engine = behind(url)
    try:
        with engine.begin() as tx:
            done = tx.execute(text(statement), values or {})
            return [tuple(row) for row in done] if done.returns_rows else []
    finally:
        engine.dispose()


def held(url: str) -> list[tuple[Any, ...]]:
    """What the database has as held: (node, device, job), sorted."""
    return rows(url, "SELECT node, device, job_id FROM held_devices ORDER BY node, device")


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, to show that nothing was written."""
    tables = ("leader", "jobs", "job_requests", "job_events", "held_devices", "node_marks", "usage_days")
    return {table: sorted(rows(url, f"SELECT * FROM {table}"), key=repr) for table in tables}  # noqa: S608


def check_whole(store: Store, address: str) -> None:
    """Jobs, stories and devices agree."""
    holding = set()
    for job in (*store.jobs.open(), *store.jobs.ended(since=0.0, limit=10_000)):
        story = store.jobs.events(job.id)
        assert [line.version for line in story] == list(range(1, job.version + 1)), story
        assert story[-1].state is job.state, story
        if job.holding and job.placement:
            holding |= {(job.placement.node, device, job.id) for device in job.placement.devices}
    assert set(held(address)) == holding


def later_version(
    folder: Path, work: str = 'op.add_column("jobs", sa.Column("colour", sa.Text, server_default="red"))'
) -> Path:
    """The steps of a later version, which has one more: a column that every job gets, unless it is to do other work."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    newest = max((folder / "versions").glob("v*.py")).name[1:5]
    step = [
        "import sqlalchemy as sa",
        "from alembic import op",
        f'revision, down_revision = "9999", "{newest}"',
        "def upgrade():",
        f"    {work}",
    ]
    (folder / "versions" / "v9999_test.py").write_text("\n".join(step))
    return folder

"""The first tables: leadership, jobs with their events and devices, marks of nodes, sums of usage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from gpuqueue_spawner.store import columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table, and the one row of leadership."""
    _leader()
    _jobs()
    _of_jobs()
    _nodes_and_usage()


def _leader() -> None:
    leader = op.create_table(
        "leader",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", columns.name(), nullable=False),
        sa.Column("host", columns.name(), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leader"),
    )
    op.bulk_insert(leader, [{"id": 1, "holder": "", "host": "", "fence": 0, "beat": 0}])


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", columns.number(), nullable=False),
        sa.Column("job_key", columns.name(32), nullable=False),
        sa.Column("user_name", columns.name(), nullable=False),
        sa.Column("server", columns.name(), nullable=False),
        sa.Column("is_open", sa.Integer),
        sa.Column("request", columns.name(), nullable=False),
        sa.Column("name", columns.text(), nullable=False),
        sa.Column("profile", columns.text(), nullable=False),
        sa.Column("cpus", sa.Double, nullable=False),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("gpus", columns.text(), nullable=False),
        sa.Column("lease", sa.Double, nullable=False),
        sa.Column("options", columns.text(), nullable=False),
        sa.Column("uid", sa.BigInteger),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("submitted", sa.Double, nullable=False),
        sa.Column("queued", sa.Double, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("node", columns.text()),
        sa.Column("devices", columns.text()),
        sa.Column("launch", sa.BigInteger, nullable=False),
        sa.Column("pid", sa.BigInteger),
        sa.Column("pid_started", sa.BigInteger),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("admitted", sa.Double),
        sa.Column("started", sa.Double),
        sa.Column("ends", sa.Double),
        sa.Column("warned", sa.Double),
        sa.Column("extended", sa.Double, nullable=False),
        sa.Column("ended", sa.Double),
        sa.Column("end_kind", sa.String(16)),
        sa.Column("message", columns.text(), nullable=False),
        sa.Column("by_whom", columns.text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("job_key", name="uq_jobs_job_key"),
        sa.UniqueConstraint("user_name", "server", "is_open", name="uq_jobs_user_name_server_is_open"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_is_open", "jobs", ["is_open"])
    op.create_index("ix_jobs_ended", "jobs", ["ended"])


def _of_jobs() -> None:
    op.create_table(
        "job_requests",
        sa.Column("user_name", columns.name(), nullable=False),
        sa.Column("server", columns.name(), nullable=False),
        sa.Column("request", columns.name(), nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_name", "server", "request", name="pk_job_requests"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_requests_job_id"),
    )
    op.create_index("ix_job_requests_job_id", "job_requests", ["job_id"])
    op.create_table(
        "job_events",
        sa.Column("seq", columns.number(), nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at_time", sa.Double, nullable=False),
        sa.Column("by_whom", columns.text(), nullable=False),
        sa.Column("note", columns.text(), nullable=False),
        sa.Column("detail", columns.text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_job_events"),
        sa.UniqueConstraint("job_id", "version", name="uq_job_events_job_id_version"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_events_job_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "held_devices",
        sa.Column("node", columns.name(), nullable=False),
        sa.Column("device", columns.name(), nullable=False),
        sa.Column("job_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("node", "device", name="pk_held_devices"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_held_devices_job_id"),
    )
    op.create_index("ix_held_devices_job_id", "held_devices", ["job_id"])


def _nodes_and_usage() -> None:
    op.create_table(
        "node_marks",
        sa.Column("name", columns.name(), nullable=False),
        sa.Column("drained", sa.Boolean, nullable=False),
        sa.Column("note", columns.text(), nullable=False),
        sa.Column("by_whom", columns.text(), nullable=False),
        sa.Column("at_time", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_node_marks"),
    )
    op.create_table(
        "usage_days",
        sa.Column("usage_day", sa.Date, nullable=False),
        sa.Column("user_name", columns.name(), nullable=False),
        sa.Column("jobs", sa.BigInteger, nullable=False),
        sa.Column("waited", sa.Double, nullable=False),
        sa.Column("run", sa.Double, nullable=False),
        sa.Column("gpu_seconds", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("usage_day", "user_name", name="pk_usage_days"),
    )

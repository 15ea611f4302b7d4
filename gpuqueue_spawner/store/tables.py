"""The tables of the queue, as SQLAlchemy sees them. Knows columns and types; what may be written is jobs.py's matter.

A database is made and changed by migrations/ only; a test compares the two. Column names avoid the reserved words of
every database, `key=` gives each column the name of the record's field.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    Label,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from . import columns

metadata = MetaData(
    naming_convention={  # a migration can only change what has a name
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def by_field(table: Table) -> list[Label[Any]]:
    """The columns to select, under the names of the record's fields."""
    return [column.label(column.key) for column in table.columns]


leader = Table(
    "leader",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, number 1: every write locks it first
    Column("holder", columns.name(), nullable=False),  # empty: nobody
    Column("host", columns.name(), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", columns.number(), primary_key=True),
    Column("job_key", columns.name(32), nullable=False, unique=True, key="key"),
    Column("user_name", columns.name(), nullable=False, key="user"),
    Column("server", columns.name(), nullable=False),
    Column("is_open", Integer, key="open"),  # 1, or NULL once it has ended: NULLs are no duplicates of each other
    Column("request", columns.name(), nullable=False),
    Column("name", columns.text(), nullable=False),
    Column("profile", columns.text(), nullable=False),
    Column("cpus", Double, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("gpus", columns.text(), nullable=False),  # JSON
    Column("others", columns.text()),  # JSON; NULL: none
    Column("node_rules", columns.text(), key="constraints"),  # JSON; NULL: none
    Column("lease", Double, nullable=False),
    Column("options", columns.text(), nullable=False),  # JSON
    Column("uid", BigInteger),
    Column("state", String(16), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("submitted", Double, nullable=False),
    Column("queued", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("node", columns.text()),
    Column("devices", columns.text()),  # JSON; the record. What is held now is in held_devices
    Column("launch", BigInteger, nullable=False),
    Column("pid", BigInteger),
    Column("pid_started", BigInteger),
    Column("failures", BigInteger, nullable=False),
    Column("failed_on", columns.text()),  # JSON; NULL: nowhere
    Column("admitted", Double),
    Column("started", Double),
    Column("ends", Double),
    Column("warned", Double),
    Column("extended", Double, nullable=False),
    Column("ended", Double),
    Column("end_kind", String(16), key="end"),
    Column("message", columns.text(), nullable=False),
    Column("by_whom", columns.text(), nullable=False, key="by"),
    UniqueConstraint("user", "server", "open"),
    Index(None, "open"),
    Index(None, "ended"),
    sqlite_autoincrement=True,  # else the number of a job that was deleted is given out again
)

job_requests = Table(
    "job_requests",
    metadata,
    # Every request a job was ever asked for by: one that arrives again, however late, starts nothing new.
    Column("user_name", columns.name(), primary_key=True, key="user"),
    Column("server", columns.name(), primary_key=True),
    Column("request", columns.name(), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id"), nullable=False, index=True, key="job"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("seq", columns.number(), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id"), nullable=False, key="job"),
    Column("version", BigInteger, nullable=False),
    Column("event", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("at_time", Double, nullable=False, key="at"),
    Column("by_whom", columns.text(), nullable=False, key="by"),
    Column("note", columns.text(), nullable=False),
    Column("detail", columns.text(), nullable=False),  # JSON
    UniqueConstraint("job", "version"),  # two stories of one job cannot both be true
    sqlite_autoincrement=True,
)

held_devices = Table(
    "held_devices",
    metadata,
    Column("node", columns.name(), primary_key=True),
    Column("device", columns.name(), primary_key=True),
    Column("job_id", BigInteger, ForeignKey("jobs.id"), nullable=False, index=True, key="job"),
)

node_marks = Table(
    "node_marks",
    metadata,
    Column("name", columns.name(), primary_key=True),
    Column("drained", Boolean, nullable=False),
    Column("note", columns.text(), nullable=False),
    Column("by_whom", columns.text(), nullable=False, key="by"),
    Column("at_time", Double, nullable=False, key="at"),
)

usage_days = Table(
    "usage_days",
    metadata,
    Column("usage_day", Date, primary_key=True, key="day"),
    Column("user_name", columns.name(), primary_key=True, key="user"),
    Column("jobs", BigInteger, nullable=False),
    Column("waited", Double, nullable=False),
    Column("run", Double, nullable=False),
    Column("gpu_seconds", Double, nullable=False),
)

"""Each fault of a driver has words that say what to look at; no message carries a query, a value or a password."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pymysql
import pytest
from sqlalchemy import exc

from gpuqueue_spawner.store import BackupRefused, DeviceTaken, JobChanged, LeaseLost, SchemaMismatch, StoreUnavailable
from gpuqueue_spawner.store.errors import TakenBack
from gpuqueue_spawner.store.faults import cause_of, worded


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite3.OperationalError("database is locked"), "another process kept it locked until the time limit (3 s)"),
        (sqlite3.OperationalError("database table is locked: jobs"), "another process kept it locked"),
        (sqlite3.OperationalError("database or disk is full"), "no room is left on the disk"),
        (sqlite3.OperationalError("unable to open database file"), "cannot be opened"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "may only be read"),
        (sqlite3.OperationalError("disk I/O error"), "the disk reports an error"),
        (sqlite3.DatabaseError("database disk image is malformed"), "restore a backup"),
        (sqlite3.OperationalError("no such table: jobs"), "run `gpuqueue upgrade-db`"),
        (psycopg.errors.QueryCanceled("x"), "a statement took longer than the time limit (3 s)"),
        (psycopg.errors.LockNotAvailable("x"), "another session kept a row locked"),
        (psycopg.errors.DeadlockDetected("x"), "took a change back"),
        (psycopg.errors.SerializationFailure("x"), "took a change back"),
        (psycopg.errors.DiskFull("x"), "no room is left on the server's disk"),
        (psycopg.errors.TooManyConnections("x"), "too many connections"),
        (psycopg.errors.AdminShutdown("x"), "starting or stopping"),
        (psycopg.errors.CannotConnectNow("x"), "starting or stopping"),
        (psycopg.errors.InvalidPassword("x"), "refused this user or password"),
        (psycopg.errors.ReadOnlySqlTransaction("x"), "only allows reading"),
        (psycopg.errors.UndefinedTable("x"), "run `gpuqueue upgrade-db`"),
        (psycopg.errors.InsufficientPrivilege("x"), "may not do that"),
        (psycopg.errors.IdleInTransactionSessionTimeout("x"), "stopped in the middle of a change"),
        (psycopg.errors.StatementCompletionUnknown("x"), "the connection broke"),
        (psycopg.OperationalError("connection failed: refused\nmore lines"), "connection failed: refused"),
        (psycopg.OperationalError(""), "OperationalError"),
        (pymysql.OperationalError(1205, "x"), "another session kept a row locked"),
        (pymysql.OperationalError(1213, "x", sqlstate="40001"), "took a change back"),
        (pymysql.OperationalError(1969, "x", sqlstate="70100"), "a statement took longer than the time limit (3 s)"),
        (pymysql.OperationalError(3024, "x"), "a statement took longer than the time limit (3 s)"),
        (pymysql.OperationalError(1114, "x"), "no room is left on the server's disk"),
        (pymysql.OperationalError(1040, "x"), "too many connections"),
        (pymysql.OperationalError(1053, "x"), "stopping"),
        (pymysql.OperationalError(1290, "x"), "only allows reading"),
        (pymysql.ProgrammingError(1146, "x", sqlstate="42S02"), "run `gpuqueue upgrade-db`"),
        (pymysql.OperationalError(1054, "x"), "run `gpuqueue upgrade-db`"),
        (pymysql.OperationalError(1142, "x"), "may not do that"),
        (pymysql.OperationalError(1193, "x"), "too old (possible: MariaDB from 10.3, MySQL from 8.0.17)"),
        (pymysql.OperationalError(1665, "x"), "binlog_format is STATEMENT"),
        (pymysql.OperationalError(2006, "x"), "the connection broke"),
        (pymysql.OperationalError(2013, "Lost connection (timed out)"), "did not answer until the time limit (3 s)"),
        (pymysql.OperationalError(4031, "x"), "stopped in the middle of a change"),
        (pymysql.InterfaceError(0, ""), "the connection broke"),
        (pymysql.OperationalError(2003, "Can't connect to MySQL server on 'db1'\nx"), "Can't connect to MySQL server"),
    ],
)
def test_fault_is_worded(error: Exception, words: str) -> None:
    """A fault that is not in the list gives the first line of its own words."""
    cause = cause_of(error, 3.0)

    assert words in cause
    assert "\n" not in cause


def test_wrapped_fault_comes_out_without_query_and_values() -> None:
    """SQLAlchemy's text of a fault has both."""
    wrapped = exc.OperationalError("SELECT secret", {"token": "secret"}, sqlite3.OperationalError("database is locked"))

    with pytest.raises(StoreUnavailable) as raised, worded(3.0):
        raise wrapped

    assert "secret" not in str(raised.value)
    assert raised.value.cause == "another process kept it locked until the time limit (3 s)"


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (psycopg.errors.DeadlockDetected("x"), True),
        (psycopg.errors.SerializationFailure("x"), True),
        (psycopg.errors.StatementCompletionUnknown("x"), False),
        (pymysql.OperationalError(1213, "x"), True),
        (pymysql.OperationalError(1205, "x"), False),
        (pymysql.OperationalError(2013, "x"), False),
    ],
)
def test_fault_says_whether_the_write_may_be_tried_again(error: Exception, again: bool) -> None:
    """Only where it is certain that nothing was written, and a second try does not wait as long as the first."""
    with pytest.raises(StoreUnavailable) as raised, worded(3.0):
        raise exc.OperationalError("x", {}, error)

    assert isinstance(raised.value, TakenBack) is again


@pytest.mark.parametrize(
    "error", [exc.IntegrityError("x", {}, Exception()), exc.DataError("x", {}, Exception()), KeyError()]
)
def test_bug_is_not_worded_away(error: Exception) -> None:
    """What no outage explains ends loudly."""
    with pytest.raises(type(error)), worded(3.0):
        raise error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (JobChanged(7), "job 7 was changed by somebody else since it was read (read it again and decide again)"),
        (LeaseLost(3, 4), "leadership number 3 is no longer good: number 4 was given out since"),
        (LeaseLost(3, 3), "leadership number 3 is no longer good: it was given up"),
        (DeviceTaken("n1", "GPU-1", 7), "device GPU-1 of node n1 is held by job 7"),
        (
            SchemaMismatch("0001", "0002"),
            "the database has schema 0001, this version works with 0002: run `gpuqueue upgrade-db`",
        ),
        (BackupRefused(Path("x"), "it exists"), "no backup to x: it exists"),
    ],
)
def test_refusal_says_which_thing_what_it_is_and_what_is_possible(error: Exception, words: str) -> None:
    """Whoever reads it in a log knows what to do."""
    assert str(error) == words

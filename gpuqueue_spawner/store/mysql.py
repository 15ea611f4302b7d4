"""How MySQL and MariaDB are spoken to: with limits on the server's side, and the driver's for one that fell silent.

Knows the driver and where the two servers differ, no table. Needs the extra `mysql`. The other kinds of database:
sqlite.py, postgresql.py. Who uses them: database.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from .errors import InvalidDatabase, StoreUnavailable


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long what may take, all in seconds."""

    lock: int  #: the servers know whole seconds, from 1
    statement: float  #: after the lock's, else nobody learns that it was a lock
    silence: float  #: of the server; after the statement's, which says more
    pause: int  #: of this process in the middle of a change, which must not keep the lease row from the next leader

    @classmethod
    def of(cls, timeout: float) -> Limits:
        """The limits for a site's one number."""
        lock = max(1, int(timeout * 0.9))
        statement = max(timeout, lock + 0.5)
        return cls(lock=lock, statement=statement, silence=statement * 1.2 + 0.5, pause=max(1, round(timeout)))


def engine(url: URL, *, timeout: float) -> Engine:
    """An engine whose connections, locks and statements take at most about `timeout` seconds each."""
    limits = Limits.of(timeout)
    made = create_engine(
        url,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": timeout,
            "read_timeout": limits.silence,
            "write_timeout": limits.silence,
            "program_name": "gpuqueue",
        },
        isolation_level="READ COMMITTED",  # after the wait for the lease row's lock, see what is there then
        pool_pre_ping=True,
        pool_timeout=timeout,
    )

    @event.listens_for(made, "do_connect")  # before SQLAlchemy looks at the session, and writes SQL by its sql_mode
    def connect(_dialect: object, _record: object, args: Any, options: Any) -> pymysql.Connection[Any]:
        try:
            connection = pymysql.connect(*args, **options)
        except TypeError as error:  # "... got an unexpected keyword argument 'sslca'"
            raise InvalidDatabase(f"the database's address has a parameter too many: {error}") from error
        try:
            _set(connection, session_settings(limits, mariadb=_is_mariadb(connection)))
        except pymysql.Error:
            connection.close()
            raise
        return connection

    return made


def session_settings(limits: Limits, *, mariadb: bool) -> Mapping[str, object]:
    """What a session works with, whatever the site set for others."""
    both = {
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",  # a value that does not fit is refused, not cut short
        "default_storage_engine": "InnoDB",  # others know no transactions
        "foreign_key_checks": 1,
        "unique_checks": 1,
        "sql_safe_updates": 0,  # refuses a change of the one row of leadership, for want of a condition
        "innodb_lock_wait_timeout": limits.lock,
        "lock_wait_timeout": limits.lock,  # of a whole table, while another session changes it
    }
    if mariadb:
        return {**both, "max_statement_time": limits.statement, "idle_transaction_timeout": limits.pause}
    # MySQL has a limit for SELECT alone; the driver's ends any other. It ends an idle session also outside a
    # transaction, which costs the next use a new connection.
    return {**both, "max_execution_time": round(limits.statement * 1000), "wait_timeout": limits.pause}


@contextmanager
def patient(tx: Connection) -> Iterator[None]:
    """Let statements of this session take their time; locks keep their limit."""
    connection = tx.connection.driver_connection
    assert isinstance(connection, pymysql.Connection)
    limit = connection._read_timeout
    setting = "max_statement_time" if _is_mariadb(connection) else "max_execution_time"
    before = tx.exec_driver_sql(f"SELECT @@SESSION.{setting}").scalar_one()
    _set(connection, {setting: 0})
    connection._read_timeout = None  # the driver reads it at each answer, and has no other way to change it
    try:
        yield
    finally:
        connection._read_timeout = limit
        if connection.open:
            _set(connection, {setting: before})


@contextmanager
def alone(tx: Connection, *, timeout: float) -> Iterator[None]:
    """Let no other upgrade of this database run meanwhile. Held by the session: a change of a table ends transactions.

    :raises StoreUnavailable: another one takes longer than `timeout` seconds.
    """
    lock = "CONCAT('gpuqueue ', MD5(DATABASE()))"  # its name is one for the whole server
    if tx.execute(text(f"SELECT GET_LOCK({lock}, :timeout)"), {"timeout": timeout}).scalar() != 1:
        raise StoreUnavailable(f"another upgrade of it took longer than the time limit ({timeout:g} s)")
    try:
        yield
    finally:
        if not tx.invalidated:
            tx.execute(text(f"DO RELEASE_LOCK({lock})"))


def unfit(tx: Connection) -> str:
    """Say why the database cannot hold a queue; empty: it can."""
    charset, flush = tx.exec_driver_sql(
        "SELECT @@character_set_database, @@GLOBAL.innodb_flush_log_at_trx_commit"
    ).one()
    if charset != "utf8mb4":
        return f"keeps text as {charset}, names need one made with CHARACTER SET utf8mb4"
    if int(flush) not in (1, 3):  # 3: MariaDB's older and slower way of the same
        return (
            f"may lose what it acknowledged: innodb_flush_log_at_trx_commit is {flush} on the server"
            " (possible: 1, the default)"
        )
    return ""


def _is_mariadb(connection: pymysql.Connection[Any]) -> bool:
    return "MariaDB" in connection.get_server_info()


def _set(connection: pymysql.Connection[Any], settings: Mapping[str, object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION " + ", ".join(f"{name} = %s" for name in settings), tuple(settings.values()))

"""How PostgreSQL is spoken to: with limits on the server's side, and one of our own for a server that fell silent.

Knows the driver, no table. Needs the extra `postgresql`. The other kinds of database: sqlite.py, mysql.py. Who uses
them: database.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

_UPGRADE_LOCK = 5_704_801_342  # any number, the same in each version

T = TypeVar("T")


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever for a server that is stopped or cut off in the middle of a statement.

    The server's own limits do not count while it is stopped, and the system's limits on a silent peer do not either:
    its kernel still answers.
    """

    limit = math.inf  #: seconds that one answer may take

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Wait for an answer, as the driver does for every statement, but not beyond the limit."""
        try:
            return super().wait(_limited(gen, self.limit), *args, **options)
        except _Silence:
            self.close()  # nobody knows what the server makes of the statement: this connection is of no use any more
            raise


class _Silence(psycopg.OperationalError):
    """The server does not answer."""


def _limited(gen: Generator[Any, Any, T], limit: float) -> Generator[Any, Any, T]:
    """Pass a generator of the driver on, which is asked at least every tenth of a second, until the limit."""
    until = time.monotonic() + limit
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                raise _Silence(f"the server did not answer for {limit:g} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        value: T = done.value
        return value


def engine(url: URL, *, timeout: float) -> Engine:
    """An engine whose connections, locks and statements take at most `timeout` seconds each."""
    patience = max(2, round(timeout))  # libpq knows whole seconds, from 2
    defaults = {
        "connect_timeout": patience,
        "tcp_user_timeout": patience * 1000,  # a server whose machine fell silent
        "keepalives_idle": patience,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "application_name": "gpuqueue",
        "client_encoding": "utf8",
    }
    made = create_engine(
        url,
        connect_args={key: value for key, value in defaults.items() if key not in url.query},
        isolation_level="READ COMMITTED",  # after the wait for the lease row's lock, see what is there then
        pool_pre_ping=True,
        pool_timeout=timeout,
    )

    @event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, args: Any, options: Any) -> LimitedConnection:
        connection = LimitedConnection.connect(*args, **options)
        connection.limit = timeout * 1.2 + 0.5  # the server's own limits are first, they say more
        _prepare(connection, milliseconds=round(timeout * 1000))
        return connection

    return made


@contextmanager
def patient(tx: Connection) -> Iterator[None]:
    """Let statements of this transaction take their time; locks keep their limit."""
    connection = tx.connection.driver_connection
    assert isinstance(connection, LimitedConnection)
    limit, connection.limit = connection.limit, math.inf
    try:
        tx.exec_driver_sql("SET LOCAL statement_timeout = 0")
        yield
    finally:
        connection.limit = limit


@contextmanager
def alone(tx: Connection, *, timeout: float) -> Iterator[None]:
    """Let no other upgrade of this database run meanwhile, until the end of the transaction."""
    tx.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _UPGRADE_LOCK})  # within the session's limit
    yield


def unfit(tx: Connection) -> str:
    """Say why the database cannot hold a queue; empty: it can."""
    encoding = tx.execute(text("SELECT current_setting('server_encoding')")).scalar_one()
    return "" if encoding == "UTF8" else f"keeps text as {encoding}, names need one made with UTF8"


def _prepare(connection: LimitedConnection, *, milliseconds: int) -> None:
    """Set this session's limits. Not by the address: a connection pooler in between may refuse options there."""
    connection.autocommit = True  # else the next rollback takes the settings back
    for setting, share in (
        ("statement_timeout", 1.0),
        ("lock_timeout", 0.9),  # before the statement's own, else nobody learns that it was a lock
        # A leader that is paused in the middle of a change must not keep the lease row from the next leader.
        ("idle_in_transaction_session_timeout", 1.0),
    ):
        connection.execute("SELECT set_config(%s, %s, false)", (setting, str(round(milliseconds * share))))
    # A site may ask for more than "on" (a standby's answer), never for less: what was acknowledged is kept.
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    connection.autocommit = False

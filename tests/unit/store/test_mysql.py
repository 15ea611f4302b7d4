"""Where MySQL and MariaDB differ, and how one number of a site becomes the limits of both."""

from __future__ import annotations

import sys
from contextlib import closing

import pytest
from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.schema import CreateTable

from gpuqueue_spawner.store import InvalidDatabase, Store, columns
from gpuqueue_spawner.store.database import Database
from gpuqueue_spawner.store.mysql import Limits, session_settings


@pytest.mark.parametrize(("mariadb", "collation"), [(True, "utf8mb4_nopad_bin"), (False, "utf8mb4_0900_bin")])
def test_name_is_compared_by_its_bytes_on_either_server(mariadb: bool, collation: str) -> None:
    """Each has a collation that lets spaces at the end count, under a name that the other one does not know."""
    table = Table("t", MetaData(), Column("n", columns.name()))

    made = str(CreateTable(table).compile(dialect=MySQLDialect(is_mariadb=mariadb)))

    assert f"n VARCHAR(255) CHARACTER SET utf8mb4 COLLATE {collation}" in made


@pytest.mark.parametrize("timeout", [0.1, 0.3, 1.0, 1.5, 2.0, 10.0, 60.0])
def test_limits_say_what_took_so_long(timeout: float) -> None:
    """A lock's limit is over before the statement's, and that before the one for a silent server."""
    limits = Limits.of(timeout)

    assert 1 <= limits.lock < limits.statement < limits.silence
    assert limits.pause >= 1
    assert limits.silence <= max(timeout, 2.0) * 1.5


def test_either_server_gets_the_settings_it_knows() -> None:
    """Each has limits for a statement and for a pause, and both refuse a value that does not fit."""
    maria, my = (session_settings(Limits.of(10.0), mariadb=mariadb) for mariadb in (True, False))

    assert (maria["max_statement_time"], maria["idle_transaction_timeout"]) == (10.0, 10)
    assert (my["max_execution_time"], my["wait_timeout"]) == (10_000, 10)
    assert "STRICT_ALL_TABLES" in str(maria["sql_mode"])
    assert maria["sql_mode"] == my["sql_mode"]
    assert not {"max_statement_time", "idle_transaction_timeout"} & my.keys()


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+mysqldb"])
def test_either_name_is_the_same_kind_of_address(scheme: str) -> None:
    """Which server answers is found out when it does."""
    database = Database(f"{scheme}://gpuqueue:secret@db1/queue", timeout=1.0)

    assert database.url.drivername == "mysql+pymysql"
    assert "secret" not in repr(database.url)
    assert not database.takes_tables_back


def test_parameter_that_the_driver_does_not_know_is_refused_by_its_name() -> None:
    """A mistyped option for encryption is not left out in silence."""
    store = Store("mysql://db1/queue?sslca=ca.pem", timeout=1.0)

    with closing(store), pytest.raises(InvalidDatabase, match="'sslca'"):
        store.check()


@pytest.mark.parametrize(("kind", "driver"), [("mysql", "pymysql"), ("postgresql", "psycopg")])
def test_missing_driver_is_named_by_its_extra(kind: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every site installs it."""
    monkeypatch.delitem(sys.modules, f"gpuqueue_spawner.store.{kind}", raising=False)
    monkeypatch.delattr(f"gpuqueue_spawner.store.{kind}", raising=False)
    monkeypatch.setitem(sys.modules, driver, None)

    with pytest.raises(InvalidDatabase, match=rf"pip install gpuqueue-spawner\[{kind}\]"):
        Store(f"{kind}://db1/queue")

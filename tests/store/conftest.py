"""Databases for the store's tests: every test that asks for `address` or `store` runs on each backend."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gpuqueue_spawner.store import Store
from tests.services.database import DatabaseServer
from tests.services.mariadb import MariaDB, mariadb
from tests.services.postgresql import PostgreSQL, postgresql

from .builders import lead

SERVERS = ["postgresql", "mariadb"]  #: kinds of database that are servers


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """One PostgreSQL for all tests."""
    with postgresql() as running:
        yield running


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """One MariaDB for all tests."""
    with mariadb() as running:
        yield running


@pytest.fixture(scope="session")
def shared() -> dict[str, str]:
    """By the kind of server, the address of a database that each test finds empty."""
    return {}


@pytest.fixture(params=["sqlite", *SERVERS])
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> DatabaseServer:
    """A server, of each kind, that all tests share."""
    found: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def address(backend: str, tmp_path: Path, shared: dict[str, str], request: pytest.FixtureRequest) -> str:
    """A database without any table; of SQLite not even the file."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/queue.sqlite"
    server: DatabaseServer = request.getfixturevalue(f"{backend}_server")
    if backend not in shared:
        shared[backend] = server.database()
    server.empty(shared[backend])
    return shared[backend]


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """A store with this version's tables and no row."""
    with closing(Store(address)) as store:
        store.upgrade()
        yield store


@pytest.fixture
def fence(store: Store) -> int:
    """Leadership of `store`."""
    return lead(store)


@pytest.fixture
def full_file_system(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid():
        pytest.skip("only root can make a small file system; test_full_disk... fills a small file instead")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)

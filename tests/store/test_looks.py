"""What can be learnt of a database without changing it, on each kind."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from gpuqueue_spawner.store import Store, StoreUnavailable
from gpuqueue_spawner.store.looks import clock, refuses_writes
from tests.services.database import DatabaseServer

from .builders import lead


def test_a_database_that_takes_changes_is_left_as_it_is(store: Store, backend: str) -> None:
    """A leader stays leader, and does not notice."""
    fence = lead(store)
    before = store.leader.read()

    refuses_writes(store._database)

    assert store.leader.read() == before
    assert before is not None
    assert before.fence == fence


def test_a_server_s_clock_is_read_and_a_file_has_none(store: Store, backend: str) -> None:
    asked = time.time()
    found = clock(store._database)

    assert (found is None) == (backend == "sqlite")
    assert found is None or asked - 1 < found < time.time() + 1


@pytest.mark.parametrize(
    ("kind", "setting", "back"),
    [
        ("postgresql", "ALTER DATABASE {name} SET default_transaction_read_only = on", "SELECT 1"),
        ("mariadb", "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
    ],
)
def test_a_server_that_only_reads_is_noticed_by_a_change_of_nothing(
    kind: str, setting: str, back: str, request: pytest.FixtureRequest
) -> None:
    server: DatabaseServer = request.getfixturevalue(f"{kind}_server")
    address = server.database()
    with closing(Store(address)) as store:
        store.upgrade()
        name = store._database.url.database
    server.administer(setting.format(name=name))
    try:
        with closing(Store(address)) as store, pytest.raises(StoreUnavailable, match="only allows reading"):
            refuses_writes(store._database)
    finally:
        server.administer(back)

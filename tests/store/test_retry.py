"""A write that the server takes back because of another one is made again; one that nobody knows the end of is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy import event, insert, select, update

from gpuqueue_spawner.model import Event
from gpuqueue_spawner.store import Store, StoreUnavailable
from gpuqueue_spawner.store.database import Database, retried
from gpuqueue_spawner.store.errors import TakenBack
from gpuqueue_spawner.store.tables import jobs, leader, node_marks
from tests.services.database import DatabaseServer

from .builders import lead, queued


def test_deadlock_with_a_foreign_session_costs_a_second_try_and_nothing_else(server: DatabaseServer) -> None:
    """An admin's session that locks in another order: the server ends our write, and it happens once all the same."""
    address = server.database()
    with closing(Store(address, timeout=30.0)) as store, closing(Database(address, timeout=30.0)) as foreign:
        store.upgrade()
        fence = lead(store)
        job = queued(store, fence)
        tries = _count(store, "UPDATE jobs")
        ours_waits = threading.Event()
        _before(store, "UPDATE jobs", ours_waits.set)

        with foreign.writing() as tx:
            for n in range(50):  # MySQL ends the one that has changed less
                tx.execute(insert(node_marks).values(name=f"n{n}", drained=True, note="", by="", at=0.0))
            tx.execute(update(jobs).where(jobs.c.id == job.id).values(message=jobs.c.message))
            moved: list[object] = []
            ours = threading.Thread(target=lambda: moved.append(store.jobs.apply(job, Event.HOLD, fence=fence, at=1.0)))
            ours.start()
            assert ours_waits.wait(30)
            time.sleep(0.5)  # PostgreSQL ends the one that has waited for longer
            tx.execute(select(leader).with_for_update())
        ours.join(60)

        assert moved == [store.jobs.get(job.id)]
        assert len(tries) == 2
        assert [line.event for line in store.jobs.events(job.id)] == [Event.SUBMIT, Event.HOLD]


def _count(store: Store, beginning: str) -> list[str]:
    """Every statement with this beginning, from now on."""
    seen: list[str] = []
    _before(store, beginning, lambda: seen.append(beginning))
    return seen


def _before(store: Store, beginning: str, work: Callable[[], object]) -> None:
    @event.listens_for(store._database.engine, "before_cursor_execute")
    def see(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(beginning):
            work()


@pytest.mark.parametrize(
    ("faults", "calls"),
    [
        ([], 1),
        ([TakenBack("x")], 2),
        ([TakenBack("x")] * 2, 3),
        ([TakenBack("x")] * 5, 3),
        ([StoreUnavailable("the connection broke")], 1),
        ([TakenBack("x"), StoreUnavailable("the connection broke")], 2),
    ],
)
def test_write_is_tried_again_only_where_nothing_was_written_and_not_for_ever(
    faults: list[StoreUnavailable], calls: int
) -> None:
    """Thrice at most; the last fault goes to whoever asked."""
    made = []

    @retried
    def write(value: int) -> int:
        made.append(value)
        if len(made) <= len(faults):
            raise faults[len(made) - 1]
        return value

    if calls > len(faults):
        assert write(7) == 7
    else:
        with pytest.raises(StoreUnavailable) as refused:
            write(7)
        assert refused.value is faults[calls - 1]
    assert made == [7] * calls

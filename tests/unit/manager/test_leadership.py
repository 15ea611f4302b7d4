"""A leader whom its database does not answer any more: alone it leads on, beside others it stands by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuqueue_spawner.manager import leadership
from gpuqueue_spawner.manager.database import Database
from gpuqueue_spawner.store import StoreUnavailable

from .world import World

HOLDER = "one"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """With leases that are short enough for a test."""
    for name, seconds in (("TTL_S", 0.2), ("BEAT_S", 0.02), ("LOOK_S", 0.01)):
        monkeypatch.setattr(leadership, name, seconds)
    it = World(tmp_path)
    yield it
    it.close()


def silent(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let nothing be written any more; the result grows with each beat that was tried."""
    tried: list[int] = []

    def renew(fence: int) -> None:
        tried.append(fence)
        raise StoreUnavailable("the database does not answer")

    monkeypatch.setattr(db.store.leader, "renew", renew)
    return tried


def test_beside_others_it_stands_by_once_the_lease_may_be_theirs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests and the Hub's connection go to whoever says to lead: two must not say so for long."""
    db = world.office().manager.db
    fence = world.run(leadership.take(db, HOLDER))
    tried = silent(db, monkeypatch)

    with pytest.raises(leadership.LeaseUnknown, match="could not be renewed"):
        world.run(asyncio.wait_for(leadership.renew(db, fence, shared=True), 10))

    assert len(tried) > 1, "one beat that is missed costs nobody the lease"


def test_alone_it_leads_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    db = world.office().manager.db
    fence = world.run(leadership.take(db, HOLDER))
    silent(db, monkeypatch)

    with pytest.raises(TimeoutError):
        world.run(asyncio.wait_for(leadership.renew(db, fence, shared=False), 1))


def test_it_takes_its_own_lease_back_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else has taken it: there is nothing to wait for."""
    db = world.office().manager.db
    fence = world.run(leadership.take(db, HOLDER))
    monkeypatch.setattr(leadership, "TTL_S", 3600.0)

    assert world.run(asyncio.wait_for(leadership.take(db, HOLDER), 5)) == fence + 1


def test_it_stands_by_and_leads_again_when_the_database_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under one number while it leads, under none meanwhile."""
    office = world.office()
    numbers: list[int | None] = []

    async def number_is(true: bool) -> None:
        async with asyncio.timeout(10):
            while (office.manager.fence is not None) is not true:
                await asyncio.sleep(0.01)
        numbers.append(office.manager.fence)

    async def story() -> None:
        leading = asyncio.create_task(office.run(HOLDER, shared=True))
        await number_is(True)
        with monkeypatch.context() as fault:
            silent(office.manager.db, fault)
            await number_is(False)
        await number_is(True)
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)

    world.run(story())

    first, between, last = numbers
    assert between is None
    assert first
    assert last
    assert last > first

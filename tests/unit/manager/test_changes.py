"""A reader is told what changed since it last asked, once, and may wait for a while only."""

from __future__ import annotations

import asyncio

from gpuqueue_spawner.manager.changes import QUEUE, Changes


def test_all_that_changed_is_told_once() -> None:
    changes = Changes()

    async def history() -> list[frozenset[str | int]]:
        with changes.subscribe() as mine:
            changes.publish(QUEUE, 1, 2)
            changes.publish(2, 3)
            return [await mine.next(), await mine.next(within=0.01)]

    assert asyncio.run(history()) == [{QUEUE, 1, 2, 3}, frozenset()]


def test_who_waits_for_a_while_is_told_what_comes_meanwhile() -> None:
    changes = Changes()

    async def history() -> frozenset[str | int]:
        with changes.subscribe() as mine:
            asyncio.get_running_loop().call_later(0.01, changes.publish, QUEUE)
            return await mine.next(within=20)

    assert asyncio.run(history()) == {QUEUE}

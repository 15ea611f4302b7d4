"""Blocking calls beside the event loop: bounded in number and in time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gpuqueue_spawner.auth.threads import Threads


async def test_the_result_comes_back() -> None:
    """Of a function that ran in another thread."""
    thread = await Threads("test", most=1).call(threading.get_ident, within=5)

    assert thread != threading.get_ident()


async def test_an_error_comes_back() -> None:
    """As the function raised it."""

    def fails() -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        await Threads("test", most=1).call(fails, within=5)


async def test_a_call_that_hangs_keeps_its_place_and_no_more() -> None:
    """Its caller is told in time; the next one waits for the thread, not for ever."""
    threads, let_go = Threads("test", most=1), threading.Event()

    with pytest.raises(TimeoutError):
        await threads.call(let_go.wait, within=0.05)
    with pytest.raises(TimeoutError):
        await threads.call(lambda: None, within=0.05)
    let_go.set()

    assert await threads.call(lambda: "free again", within=5) == "free again"


async def test_a_caller_that_is_cancelled_frees_nothing_early() -> None:
    """The bound holds for threads that run, whoever still waits for them."""
    threads, let_go = Threads("test", most=1), threading.Event()

    caller = asyncio.create_task(threads.call(let_go.wait, within=5))
    await asyncio.sleep(0.05)
    caller.cancel()

    with pytest.raises(TimeoutError):
        await threads.call(lambda: None, within=0.05)
    let_go.set()

"""One turn against a queue that says unexpected things."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gpuqueue_spawner.spawner import client as client_module
from gpuqueue_spawner.spawner import turns
from gpuqueue_spawner.spawner.client import QueueClient
from gpuqueue_spawner.spawner.errors import QueueUnreachable, SpawnRefused
from gpuqueue_spawner.spawner.jobs import Permit
from gpuqueue_spawner.spawner.progress import Progress
from gpuqueue_spawner.spawner.turns import Turn

from .fake_manager import SECRET, FakeManager

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Launches:
    """A spawner, as far as a turn knows it."""

    def __init__(self) -> None:
        self.log = logging.getLogger("test")
        self._log_name = "alice"
        self.queue_progress = Progress()
        self.launch_timeout = 5.0
        self.internal_ssl = False
        self.server = None
        self.permits: list[Permit] = []
        self.ended = 0
        self.noted: list[int] = []
        self.launching = asyncio.Event()

    def clock(self) -> float:
        return 0.0

    def note_job(self, view: Any) -> None:
        self.noted.append(view.id)

    async def launch_permitted(self, permit: Permit) -> str:
        self.permits.append(permit)
        self.launching.set()
        return "http://127.0.0.1:1"

    async def poll_launch(self) -> None:
        return None

    async def end_launch(self, *, now: bool) -> None:
        self.ended += 1


@pytest_asyncio.fixture(loop_scope="module")
async def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    async def answers(spawner: Any, url: str) -> None:
        await asyncio.sleep(0.05)

    monkeypatch.setattr(turns, "notebook_answers", answers)
    monkeypatch.setattr(turns, "AGAIN_S", (0.05, 0.1))
    return Launches()


@pytest_asyncio.fixture(loop_scope="module")
async def turn(launches: Launches, manager: FakeManager, tmp_path: Path) -> AsyncIterator[Turn]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    queue = QueueClient(url=manager.url, secret_file=str(secret))
    body = {"instance": "x" * 8, "user": str(tmp_path), "server": "", "name": "", "profile": "", "resources": {}}
    yield Turn(launches, queue, body={**body, "lease": 60, "options": {}, "uid": None})
    await queue.close()


async def test_a_job_that_the_queue_no_longer_knows_is_asked_for_anew(
    turn: Turn, launches: Launches, manager: FakeManager
):
    """A queue restored from a backup: the admitted job is gone, the request makes another."""
    turn.queue.start()
    taking = asyncio.create_task(turn.take())
    job = await manager.job(user=turn.body["user"])
    await manager.wait_for(lambda: manager.holds == [job["key"]])

    manager.lost.add(job["id"])
    manager.admit(job["id"])
    again = await manager.job(user=turn.body["user"], state="queued")
    await manager.wait_for(lambda: manager.holds == [again["key"]])
    manager.admit(again["id"])

    assert await taking == "http://127.0.0.1:1"
    assert launches.noted == [job["id"], again["id"]]


async def test_a_job_that_ends_while_it_is_launched_takes_its_processes_along(
    turn: Turn, launches: Launches, manager: FakeManager
):
    """An admin stops it: the launch is ended, the refusal says so."""
    launches.launch_timeout = 30
    turn.queue.start()
    taking = asyncio.create_task(turn.take())
    job = await manager.job(user=turn.body["user"])
    manager.admit(job["id"])
    await launches.launching.wait()

    manager.change(job["id"], state="stopping", end="stopped", message="maintenance")

    with pytest.raises(SpawnRefused, match="This request was stopped: maintenance"):
        await taking
    assert launches.ended == 1


async def test_withdrawing_a_request_whose_answer_was_lost_finds_its_job(turn: Turn, manager: FakeManager):
    """The POST reached the queue, its answer nobody: the same request names the job, which is then stopped."""
    manager.post(turn.body)
    turn.posted = True
    farewell = turn.farewell()
    assert farewell is not None

    assert await turn.queue.unsent.tell(farewell, within=5)

    job = await manager.job(user=turn.body["user"])
    assert job["end"] == "cancelled"


async def test_a_request_that_never_left_needs_no_withdrawal(turn: Turn, manager: FakeManager):
    """Nothing listened: nothing can have been accepted."""
    posts = len(manager.posts)
    turn.queue.url = "http://127.0.0.1:1"
    with pytest.raises(QueueUnreachable) as unreachable:
        await turn._post()

    assert turn.farewell() is None
    assert not unreachable.value.received
    assert len(manager.posts) == posts


async def test_a_wrong_secret_is_no_refusal(turn: Turn, tmp_path: Path):
    """It can be put right; what waits must not end over it."""
    (tmp_path / "secret").write_text("wrong")

    with pytest.raises(QueueUnreachable, match="does not accept the secret"):
        await turn.queue.post("/spawner/v1/jobs", {})


async def test_a_silent_queue_counts_as_away_until_it_is_back(
    turn: Turn, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
):
    """Whatever TCP says: no beat for a while is loss, and the next stream holds the same jobs."""
    monkeypatch.setattr(client_module, "SILENCE_S", 0.5)
    monkeypatch.setattr(client_module, "BEAT_S", 30.0)  # the fake answers beats only
    hellos = len(manager.hellos)
    held = turn.queue.hold(turns.JobView.of_document(manager.post(turn.body)[1]))

    turn.queue.start()
    await manager.wait_for(lambda: len(manager.hellos) >= hellos + 2)

    assert manager.hellos[-1]["holds"] == [held.view.key]
    assert manager.hellos[-1]["instance"] == manager.hellos[-2]["instance"]


async def test_who_looks_before_a_start_sees_it_too(launches: Launches):
    """A page that is open before start() begins is not left behind, and numbers never fall within one."""
    progress = launches.queue_progress
    seen: asyncio.Queue[int] = asyncio.Queue()

    async def look() -> None:
        async for event in progress.events():
            seen.put_nowait(event["progress"])

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    progress.begin()
    for percent in (20, 10, 10):
        progress.show("waiting", percent, "Words.")
        await asyncio.sleep(0)
    progress.show("waiting", 10, "Other words.")
    await asyncio.sleep(0.01)
    looking.cancel()

    assert [seen.get_nowait() for _ in range(seen.qsize())] == [1, 20, 20]


async def test_views_are_never_taken_backwards():
    """An event that was overtaken on its way changes nothing."""
    document = {"id": 1, "key": "k", "state": "admitted", "version": 5}
    held = client_module.Held(turns.JobView.of_document(document))

    held.update(turns.JobView.of_document({**document, "state": "queued", "version": 4}))

    assert held.view.version == 5

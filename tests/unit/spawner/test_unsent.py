"""What the queue is told once it answers: in order, also by the next Hub, and before anything else."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.spawner.errors import QueueRefused, QueueUnreachable
from gpuqueue_spawner.spawner.unsent import JOBS, Message, Unsent

pytestmark = pytest.mark.asyncio


class Queue:
    """Answers, or does not."""

    def __init__(self) -> None:
        self.away: Exception | None = None
        self.told: list[str] = []

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.away:
            raise self.away
        self.told.append(path.removeprefix(JOBS))
        return {"job": {"key": "learnt"}}


def unsent(queue: Queue, path: Path | None) -> Unsent:
    return Unsent(queue.post, instance="one-hub-process", path=path)


UNREACHABLE = QueueUnreachable("nothing listens", received=False)


async def test_what_was_not_told_is_told_by_the_next_hub_in_its_order(tmp_path: Path) -> None:
    """The Hub may end before the queue is back."""
    queue, path = Queue(), tmp_path / "unsent.json"
    queue.away = UNREACHABLE
    first = unsent(queue, path)
    assert not await first.tell(first.stop("a"), within=1)
    assert not await first.tell(first.stop("b"), within=1)
    assert not await first.tell(first.stop("a"), within=1), "the same again is kept once"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    queue.away = None
    await unsent(queue, path).flush()

    assert queue.told == ["/a/stop", "/b/stop"]
    assert json.loads(path.read_text()) == []


async def test_a_request_whose_answer_was_lost_is_asked_again_and_its_job_stopped(tmp_path: Path) -> None:
    queue, path = Queue(), tmp_path / "unsent.json"
    queue.away = UNREACHABLE
    await unsent(queue, path).tell(Message(path=JOBS, body={"request": "r"}, withdraw=True), within=1)

    queue.away = None
    await unsent(queue, path).flush()

    assert queue.told == ["", "/learnt/stop"]


@pytest.mark.parametrize(
    "answer",
    [
        QueueRefused(404, {"code": "gpuqueue.not-found"}),
        QueueUnreachable("a bug of the queue", received=True, fault=True),
    ],
    ids=["refused", "queue-fails-on-it"],
)
async def test_what_can_never_be_told_holds_nothing_up(answer: Exception) -> None:
    queue = Queue()
    queue.away = answer
    it = unsent(queue, None)

    assert await it.tell(it.stop("a"), within=1)

    queue.away = None
    assert await it.tell(it.stop("b"), within=1)
    assert queue.told == ["/b/stop"]


@pytest.mark.parametrize("content", ["", "[{}]", "{", '[{"path": 1}]'])
async def test_a_file_that_cannot_be_read_stops_no_hub(tmp_path: Path, content: str) -> None:
    path = tmp_path / "unsent.json"
    path.write_text(content)
    queue = Queue()
    it = unsent(queue, path)

    assert await it.tell(it.stop("a"), within=1)

    assert queue.told == ["/a/stop"]


async def test_a_folder_that_cannot_be_written_loses_nothing_while_the_hub_lives(tmp_path: Path) -> None:
    queue = Queue()
    queue.away = UNREACHABLE
    it = unsent(queue, tmp_path / "nowhere" / "unsent.json")
    await it.tell(it.stop("a"), within=1)

    queue.away = None
    await it.flush()

    assert queue.told == ["/a/stop"]

"""What a connected Hub is told first, when thousands of places change at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.service.inputs import JobInput
from tests.unit.manager.world import SECRET, World

from .served import Service
from .test_inputs import RIGHT

ASKED = 30


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    it = Service(World(tmp_path))
    it.lead()
    yield it
    it.close()


def test_whose_turn_has_come_is_told_first_and_then_the_front_of_the_line(service: Service) -> None:
    """A job that holds GPUs must not wait until everybody behind it knows their new place."""
    for number in range(ASKED):
        wanted = {
            "user": f"user{number}",
            "request": f"request-{number:04}",
            "resources": {"gpus": {"nvidia.com/gpu": 4}},
        }
        assert service.post("jobs", json.dumps(RIGHT[JobInput] | wanted).encode())[0] == 201
    service.world.run(plan_once(service.office.manager))
    jobs = service.office.manager.queue.jobs.values()

    async def told() -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {SECRET.decode()}"}
        stream = await websocket_connect(
            HTTPRequest(f"ws://127.0.0.1:{service.port}/spawner/v1/stream", headers=headers)
        )
        await stream.write_message(
            json.dumps({"type": "hello", "instance": "i" * 16, "holds": [job.key for job in jobs]})
        )
        found: list[dict[str, Any]] = []
        while len(found) < ASKED:
            message = json.loads(await stream.read_message() or "{}")
            found += [message["job"]] if message["type"] == "job" else []
        stream.close()
        return found

    found = service.world.run(told())

    assert [job["state"] for job in found] == ["admitted"] * 2 + ["queued"] * (ASKED - 2)
    assert [job["place"] for job in found[2:]] == [*range(1, ASKED - 1)]

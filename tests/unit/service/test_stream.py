"""What a connected Hub is told first, and again while pods must go; and when it is sent away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from gpuqueue_spawner.manager.leftovers import Left
from gpuqueue_spawner.manager.manager import Manager
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.service import records
from gpuqueue_spawner.service.inputs import JobInput
from gpuqueue_spawner.service.spawner_api.stream import SLICE_S
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


async def connected(service: Service, *holds: str) -> WebSocketClientConnection:
    """A Hub's connection."""
    headers = {"Authorization": f"Bearer {SECRET.decode()}"}
    stream = await websocket_connect(HTTPRequest(f"ws://127.0.0.1:{service.port}/spawner/v1/stream", headers=headers))
    await stream.write_message(json.dumps({"type": "hello", "instance": "i" * 16, "holds": list(holds)}))
    return stream


def test_a_manager_that_leads_no_more_lets_its_hub_go(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that leads now admits nobody without a Hub, and a Hub stays where it is."""
    monkeypatch.setattr("gpuqueue_spawner.service.spawner_api.stream.BEAT_S", 0.05)

    async def after(moment: Callable[[], None]) -> bool:
        """Whether the connection is ended within ten beats of it."""
        stream = await connected(service)
        assert json.loads(await stream.read_message() or "{}") == {"type": "beat"}
        moment()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while await stream.read_message() is not None:
                    pass
                return True
        stream.close()
        return False

    assert not service.world.run(after(lambda: None))
    assert service.world.run(after(service.office.manager.stand_by))
    assert not service.office.hubs.present


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
        stream = await connected(service, *(job.key for job in jobs))
        found: list[dict[str, Any]] = []
        while len(found) < ASKED:
            message = json.loads(await stream.read_message() or "{}")
            found += [message["job"]] if message["type"] == "job" else []
        stream.close()
        return found

    found = service.world.run(told())

    assert [job["state"] for job in found] == ["admitted"] * 2 + ["queued"] * (ASKED - 2)
    assert [job["place"] for job in found[2:]] == [*range(1, ASKED - 1)]


def test_whose_turn_comes_is_told_while_thousands_are_being_told_their_places(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told in slices with rests between, here without end, and no rest is his."""
    monkeypatch.setattr("gpuqueue_spawner.service.spawner_api.stream.SLICE_S", 0.0)
    monkeypatch.setattr("gpuqueue_spawner.service.spawner_api.stream.REST_S", 3600.0)
    office = service.office
    for number in range(3):
        wanted = {
            "user": f"user{number}",
            "request": f"request-{number:04}",
            "resources": {"gpus": {"nvidia.com/gpu": 4}},
        }
        assert service.post("jobs", json.dumps(RIGHT[JobInput] | wanted).encode())[0] == 201

    async def told() -> dict[str, Any]:
        stream = await connected(service, *(job.key for job in office.manager.queue.jobs.values()))
        while not office.hubs.present:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # those that wait are in the middle of being told
        await plan_once(office.manager)
        while (message := json.loads(await stream.read_message() or "{}"))["type"] != "job":
            pass
        stream.close()
        job: dict[str, Any] = message["job"]
        return job

    async def in_time() -> dict[str, Any]:
        async with asyncio.timeout(20):
            return await told()

    assert service.world.run(in_time())["state"] == "admitted"


def test_those_that_wait_are_told_however_long_it_takes_to_look_at_those_that_run(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nine thousand that run, their ends take longer to reckon than a slice is."""
    releases = records.releases

    def slowly(manager: Manager) -> list[dict[str, Any]]:
        time.sleep(2 * SLICE_S)
        return releases(manager)

    monkeypatch.setattr(records, "releases", slowly)
    assert service.post("jobs", json.dumps(RIGHT[JobInput]).encode())[0] == 201

    async def told() -> dict[str, Any]:
        async with asyncio.timeout(20):
            stream = await connected(service, *(job.key for job in service.office.manager.queue.jobs.values()))
            while (message := json.loads(await stream.read_message() or "{}"))["type"] != "job":
                pass
            stream.close()
            job: dict[str, Any] = message["job"]
            return job

    assert service.world.run(told())["state"] == "queued"


def test_what_must_go_is_told_with_each_beat_until_it_is_gone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuqueue_spawner.service.spawner_api.stream.BEAT_S", 0.05)
    leftovers = service.office.leftovers
    leftovers.due = (Left(key="k", namespace="notebooks", launch=2),)

    async def told() -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {SECRET.decode()}"}
        stream = await websocket_connect(
            HTTPRequest(f"ws://127.0.0.1:{service.port}/spawner/v1/stream", headers=headers)
        )
        await stream.write_message(json.dumps({"type": "hello", "instance": "i" * 16, "holds": []}))
        found: list[dict[str, Any]] = []
        while len(found) < 12:
            found.append(json.loads(await stream.read_message() or "{}"))
            if len(found) == 4:
                leftovers.due = ()
        stream.close()
        return found

    found = service.world.run(told())

    pod = {"namespace": "notebooks", "instance": service.world.machine.instance, "key": "k", "launch": 2}
    clear = {"type": "clear", "pods": [pod]}
    assert [each["type"] for each in found[:4]] == ["beat", "clear"] * 2
    assert next(each for each in found if each["type"] == "clear") == clear
    assert {each["type"] for each in found[6:]} == {"beat"}

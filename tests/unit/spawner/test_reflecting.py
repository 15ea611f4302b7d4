"""What the Hub sees of pods, against an API server that misbehaves in one way after the other, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

from gpuqueue_spawner.spawner import reflecting
from gpuqueue_spawner.spawner.reflecting import SteadyPods

WITHIN_S = 5.0


def pod(name: str, phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"namespace": "hub", "name": name, "resourceVersion": "7"}, "status": {"phase": phase}}


class ApiServer:
    """Lists and streams what a test has put into it."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # None: ends the watch
        self.lists = self.watches = 0
        self.says: str = "well"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A list, or a watch."""
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        if self.says == "silent":
            await asyncio.sleep(60)
        if self.says == "refuses":
            return web.json_response({"message": "etcd is away"}, status=503)
        if self.says == "nonsense":
            return web.Response(text="<html>", content_type="text/html")
        return web.json_response({"items": [*self.pods.values()], "metadata": {"resourceVersion": "7"}})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.events.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    def tell(self, kind: str, **document: Any) -> None:
        """Put a change into the watch."""
        self.events.put_nowait({"type": kind, "object": document})


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    for name, seconds in {"SILENCE_S": 0.3, "LIST_S": 0.3, "PAUSE_S": 0.01, "LONGEST_PAUSE_S": 0.05}.items():
        monkeypatch.setattr(reflecting, name, seconds)
    it = ApiServer()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/hub/pods", it.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with ApiClient(Configuration(host=host)) as client:
        monkeypatch.setattr("kubespawner.reflector.shared_client", lambda name: CoreV1Api(client))
        yield it
    await runner.cleanup()


@pytest.fixture
async def pods(server: ApiServer) -> AsyncIterator[SteadyPods]:
    it = SteadyPods(namespace="hub")
    yield it
    await it.stop()


async def until(condition: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_lists_once_and_follows_every_change(server: ApiServer, pods: SteadyPods) -> None:
    server.pods = {"a": pod("a", "Pending")}

    await pods.start()
    assert pods.pods["hub/a"]["status"]["phase"] == "Pending"
    server.tell("MODIFIED", **pod("a"))
    server.tell("ADDED", **pod("b"))
    await until(lambda: "hub/b" in pods.pods)

    assert pods.pods["hub/a"]["status"]["phase"] == "Running"
    server.tell("DELETED", **pod("a"))
    await until(lambda: "hub/a" not in pods.pods)
    assert (server.lists, server.watches) == (1, 1)


async def test_a_connection_that_falls_silent_is_left_for_a_new_one(server: ApiServer, pods: SteadyPods) -> None:
    """What has changed meanwhile is seen."""
    await pods.start()
    await until(lambda: server.watches == 1)

    server.pods = {"a": pod("a")}

    await until(lambda: "hub/a" in pods.pods)


@pytest.mark.parametrize("fault", ["silent", "refuses", "nonsense"])
async def test_an_api_server_that_does_not_answer_is_asked_again_and_again(
    fault: str, server: ApiServer, pods: SteadyPods
) -> None:
    """What was seen before stays meanwhile: nobody has said that it is gone."""
    server.pods = {"a": pod("a")}
    await pods.start()
    await until(lambda: server.watches == 1)
    server.says = fault
    server.events.put_nowait(None)
    await until(lambda: server.lists > 3)
    assert "hub/a" in pods.pods

    server.pods, server.says = {"b": pod("b")}, "well"

    await until(lambda: [*pods.pods] == ["hub/b"])


async def test_before_the_first_list_nothing_is_said(server: ApiServer, pods: SteadyPods) -> None:
    """A Hub that starts without an API server must not take what runs for gone; who gives up waiting harms nobody."""
    server.pods, server.says = {"a": pod("a")}, "refuses"
    starts = asyncio.create_task(pods.start())
    await until(lambda: server.lists > 2)
    assert not starts.done()
    impatient = asyncio.create_task(pods.listed())
    await asyncio.sleep(0)
    impatient.cancel()

    server.says = "well"
    await asyncio.wait_for(starts, WITHIN_S)

    assert "hub/a" in pods.pods


async def test_what_is_too_long_ago_is_listed_anew(server: ApiServer, pods: SteadyPods) -> None:
    await pods.start()
    await until(lambda: server.watches == 1)
    server.pods = {"a": pod("a")}

    server.tell("ERROR", code=410, message="too old resource version")

    await until(lambda: "hub/a" in pods.pods)


async def test_it_ends_when_it_is_told_to(server: ApiServer, pods: SteadyPods) -> None:
    await pods.start()

    await asyncio.wait_for(pods.stop(), WITHIN_S)

    assert pods.watch_task.done()

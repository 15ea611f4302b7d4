"""Many who wait: jobs put in line by the store's own `submit`, and held as a second Hub would hold them.

To the manager they are jobs like any other, each told of every change of its place. Only no Hub has a process for each:
thousands of starts in one Hub would measure the Hub.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import requests
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from gpuqueue_spawner.model import NewJob, Resources
from gpuqueue_spawner.store import Store
from tests.services.site import Site

INSTANCE = secrets.token_hex(8)
SIZES = (1, 1, 1, 2, 4, 8)  #: GPUs, in turn
BEAT_S = 5.0


class Crowd:
    """The crowd of one site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.keys: list[str] = []  #: in the order of the line
        self.news: dict[str, tuple[float, dict[str, Any]]] = {}  #: first word of each admission, with its moment
        self.messages = 0
        self._secret = (site.folder / "spawner_secret").read_text().strip()
        self._changed = threading.Condition()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()), name="crowd", daemon=True)

    def join(self, size: int, *, gpus: Callable[[int], int] = lambda number: SIZES[number % len(SIZES)]) -> None:
        """Stand in line, while no manager runs."""
        store = Store(f"sqlite:///{self.site.folder}/gpuqueue.sqlite")
        fence = store.leader.take("benchmark", "here", seen=store.leader.read())
        assert fence is not None
        for number in range(size):
            new = NewJob(
                user=f"crowd{number:05}",
                server="",
                request=secrets.token_urlsafe(16),
                profile="crowd",
                resources=Resources(cpus=0.05, memory=64_000_000, gpus={"nvidia.com/gpu": gpus(number)}),
                lease=8 * 3600.0,
            )
            self.keys.append(store.jobs.submit(new, fence=fence, at=time.time())[0].key)
        store.leader.give_up(fence)
        store.close()

    def stay(self) -> None:
        """Hold the places as soon as the manager listens."""
        self._thread.start()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join(30)

    def admitted(self, key: str, *, within: float) -> tuple[float, dict[str, Any]]:
        """Wait until a job is admitted; returns when that was told, and the job."""
        with self._changed:
            assert self._changed.wait_for(lambda: key in self.news, within), f"{key} is not admitted"
            return self.news[key]

    def permit(self, key: str) -> dict[str, Any]:
        """Ask for a launch, as a spawner does."""
        headers = {"Authorization": f"Bearer {self._secret}"}
        url = f"{self.site.manager_url}/spawner/v1/jobs/{key}/launch"
        answer = requests.post(url, json={"instance": INSTANCE, "version": None}, headers=headers, timeout=90)
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    # ---- the stream ------------------------------------------------------------------------------------------------

    async def _hold(self) -> None:
        while not self._ends.is_set():
            with suppress(OSError, HTTPClientError):
                connection = await self._connect()
                async with asyncio.TaskGroup() as tasks:
                    beat = tasks.create_task(self._beat(connection))
                    await self._listen(connection)
                    beat.cancel()
            await asyncio.sleep(0.05)

    async def _connect(self) -> WebSocketClientConnection:
        url = f"ws{self.site.manager_url.removeprefix('http')}/spawner/v1/stream"
        connection = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"Bearer {self._secret}"}))
        hello = {"type": "hello", "instance": INSTANCE, "holds": self.keys}
        await connection.write_message(json.dumps(hello))
        return connection

    async def _beat(self, connection: WebSocketClientConnection) -> None:
        while not self._ends.is_set():
            await connection.write_message(json.dumps({"type": "beat"}))
            await asyncio.sleep(BEAT_S)
        connection.close()

    async def _listen(self, connection: WebSocketClientConnection) -> None:
        while (message := await connection.read_message()) is not None:
            at = time.perf_counter()
            document = json.loads(message)
            if document.get("type") == "job":
                self._take(at, document["job"])

    def _take(self, at: float, job: dict[str, Any]) -> None:
        self.messages += 1
        if job["state"] != "queued":
            with self._changed:
                self.news.setdefault(job["key"], (at, job))
                self._changed.notify_all()

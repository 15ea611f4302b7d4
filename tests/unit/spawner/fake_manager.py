"""A queue manager that only speaks the spawner protocol, and does to each job what a test tells it."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

SECRET = "the spawners' secret"
MARKS = {"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2", "NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-2", "GPUQUEUE_GPUS": "GPU-1,GPU-2"}


@dataclass
class FakeManager:
    """Holds jobs as the JSON that it sends."""

    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    posts: list[dict[str, Any]] = field(default_factory=list)  #: bodies of POST /jobs
    stops: list[int] = field(default_factory=list)
    exits: list[tuple[int, int | None]] = field(default_factory=list)  #: job and status
    failures: list[str] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    hellos: list[dict[str, Any]] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    waits: dict[str, Any] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)  #: jobs that it no longer knows
    refuse_claims: bool = False
    admit_at_once: bool = False
    refuse: tuple[int, dict[str, Any]] | None = None  #: what POST /jobs is answered
    tickets: dict[str, int] = field(default_factory=dict)
    streams: set[Stream] = field(default_factory=set)
    port: int = 0
    server: HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen, at the same port as before."""
        sockets = bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.server = HTTPServer(_application(self))
        self.server.add_sockets(sockets)

    async def close(self) -> None:
        """Be away."""
        self.holds = []
        assert self.server is not None
        self.server.stop()
        for stream in list(self.streams):
            stream.close()
        await self.server.close_all_connections()

    def change(self, job: int, **fields: Any) -> None:
        """Move a job and tell whoever holds it."""
        view = self.jobs[job]
        view.update(fields)
        if "state" in fields:
            view["version"] += 1
        for stream in self.streams:
            stream.tell(view)

    def admit(self, job: int) -> None:
        """It is its turn."""
        placement = {"node": "here", "devices": [{"id": "GPU-1", "index": 0}, {"id": "GPU-2", "index": 1}]}
        self.change(job, state="admitted", place=None, of=None, reason=None, start=None, placement=placement)

    def post(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Accept or attach."""
        self.posts.append(body)
        if self.refuse:
            return self.refuse
        for view in (view for view in self.jobs.values() if view["id"] not in self.lost):
            same = (view["user"], view["server"]) == (body["user"], body["server"]) and view["state"] != "ended"
            if same or view["request"] == body["request"]:
                return 200, view
        number = next(_numbers)
        self.jobs[number] = {
            **{key: body[key] for key in ("user", "server", "name", "profile", "resources", "lease", "request")},
            "id": number,
            "key": f"key{number}",
            "state": "queued",
            "version": 1,
            "launch": 0,
            "place": 3,
            "of": 7,
            "start": time.time() + 2400,
            "reason": {"code": "resources", "lead": "Waits for 2 free GPUs on one server.", "proof": ""},
            "submitted": time.time(),
            "queued": time.time(),
        }
        if self.admit_at_once:
            self.admit(number)
        return 201, self.jobs[number]

    def launch(self, job: int) -> tuple[int, dict[str, Any]]:
        """Give a permit."""
        view = self.jobs[job]
        if job in self.lost:
            return 404, {"code": "gpuqueue.not-found", "message": "no such open job"}
        if view["state"] not in ("admitted", "starting", "restarting"):
            return 409, {"code": "gpuqueue.job.state", "message": f"job {job} is {view['state']}", "job": view}
        launch = view["launch"] + 1
        self.change(job, state="starting", launch=launch)
        ticket = secrets.token_hex(8)
        self.tickets[ticket] = job
        environment = {**MARKS, "GPUQUEUE_JOB": f"test/{view['key']}/{launch}"}
        return 200, {"job": view, "launch": launch, "ticket": ticket, "environment": environment, "cgroups": []}

    async def wait_for(self, condition: Any, *, within: float = 15) -> Any:
        """Poll a fact of this manager."""
        until = time.monotonic() + within
        while not (value := condition()):
            assert time.monotonic() < until, "it did not happen in time"
            await asyncio.sleep(0.02)
        return value

    async def job(self, **wanted: Any) -> dict[str, Any]:
        """The first job that looks like this, once there is one."""

        def found() -> dict[str, Any] | None:
            return next((v for v in self.jobs.values() if wanted.items() <= v.items()), None)

        result: dict[str, Any] = await self.wait_for(found)
        return result


_numbers = itertools.count(1)


class Endpoint(RequestHandler):
    """POST of anything."""

    def initialize(self, manager: FakeManager) -> None:
        self.manager = manager

    async def post(self, path: str) -> None:
        body = json.loads(self.request.body)
        if path != "claims" and self.request.headers.get("Authorization") != f"Bearer {SECRET}":
            return self.answer(401, {"code": "gpuqueue.secret", "message": "wrong secret"})
        manager, parts = self.manager, path.split("/")
        if path == "jobs":
            status, view = manager.post(body)
            return self.answer(status, {"job": view} if status < 300 else view)
        if path == "form":
            manager.forms.append(body)
            return self.answer(200, {"waits": manager.waits, "open": None, "ticket": "t", "refresh": "/r"})
        if path == "claims":
            if manager.refuse_claims or body["ticket"] not in manager.tickets:
                return self.answer(409, {"code": "gpuqueue.launch.refused", "message": "a later launch was permitted"})
            manager.claims.append({**body, "job": manager.tickets.pop(body["ticket"])})
            return self.answer(200, {})
        job = next(number for number, view in self.manager.jobs.items() if view["key"] == parts[1])
        if parts[2] == "launch":
            return self.answer(*manager.launch(job))
        if parts[2] == "ready":
            manager.change(job, state="running", started=time.time())
        if parts[2] == "failed":
            manager.failures.append(body["message"])
            again = {"code": "order", "lead": "Behind 1 other.", "proof": ""}
            manager.change(job, state="queued", place=1, of=2, reason=again)
        if parts[2] == "exited":
            manager.exits.append((job, body["status"]))
        if parts[2] == "stop":
            manager.stops.append(job)
            end = "cancelled" if manager.jobs[job]["state"] in ("queued", "held", "admitted") else "stopped"
            manager.change(job, state="ended", end=end)
        self.answer(200, {"job": manager.jobs[job]})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        self.set_status(status)
        self.finish(document)


class Stream(WebSocketHandler):
    """The event stream."""

    def initialize(self, manager: FakeManager) -> None:
        self.manager = manager
        self.holding: list[int] = []

    def open(self) -> None:
        if self.request.headers.get("Authorization") != f"Bearer {SECRET}":
            self.close()
            return
        self.manager.streams.add(self)

    def on_message(self, message: str | bytes) -> None:
        document = json.loads(message)
        if document["type"] == "beat":
            self.write_message({"type": "beat"})
            return
        if document["type"] == "hello":
            self.manager.hellos.append(document)
        fresh = [job for job in document["holds"] if job not in self.holding]
        self.holding = self.manager.holds = document["holds"]
        for job in fresh:
            self.tell(next(view for view in self.manager.jobs.values() if view["key"] == job))

    def tell(self, view: dict[str, Any]) -> None:
        if view["key"] in self.holding:
            self.write_message({"type": "job", "job": view})

    def on_close(self) -> None:
        self.manager.streams.discard(self)


def _application(manager: FakeManager) -> Application:
    about = {"manager": manager}
    return Application([(r"/spawner/v1/stream", Stream, about), (r"/spawner/v1/(.*)", Endpoint, about)])

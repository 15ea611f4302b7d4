"""The service's application on a port, over a real manager and database, in the loop of its world. No Hub: tests say
whose a token is."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from jupyterhub.services.auth import HubOAuth
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from gpuqueue_spawner.service.availability import Tickets
from gpuqueue_spawner.service.bodies import Shortened
from gpuqueue_spawner.service.routes import application
from gpuqueue_spawner.service.secret import Secret
from gpuqueue_spawner.service.tokens import Tokens
from tests.unit.manager.world import SECRET, World

PREFIX = "/services/gpuqueue/"
ACCESS = "access:services!service=gpuqueue"


class Service:
    """One manager with its web side; it stands by until told to lead."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.office = world.office()
        self.key = ""  #: of a job that a test made
        self.scopes: dict[str, list[str]] = {}  #: by token, which is its owner's name as well
        HubOAuth.clear_instance()
        HubOAuth.instance(api_token="x", oauth_client_id="service-gpuqueue", base_url=PREFIX, access_scopes={ACCESS})
        parts: dict[str, Any] = {
            "office": self.office,
            "cookie_secret": SECRET,
            "spawner_secret": Secret(SECRET),
            "tickets": Tickets(SECRET),
            "tokens": Tokens(self._whose),
            "streams": Counter(),
        }
        self._application = application(prefix=PREFIX, settings=parts)
        self.port = world.run(self._listen())

    async def _whose(self, token: str) -> dict[str, Any] | None:
        scopes = self.scopes.get(token)
        return None if scopes is None else {"name": token, "kind": "user", "scopes": [ACCESS, *scopes]}

    async def _listen(self) -> int:
        bound, port = bind_unused_port()
        self.server = HTTPServer(Shortened(self._application))
        self.server.add_sockets([bound])
        return port

    def lead(self) -> None:
        """Take over the queue."""
        self.world.lead(self.office)

    def get(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        """Ask the users' API."""
        return self.ask("GET", f"{PREFIX}api/v1/{path}", headers={"Authorization": f"token {token}"})

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
        """Ask as a spawner."""
        shown = {"Authorization": f"Bearer {SECRET.decode()}", **headers}
        return self.ask("POST", f"/spawner/v1/{path}", body=body, headers=shown)

    def ask(self, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Send a request, and read its JSON."""
        answer = self.fetch(method, path, **more)
        return answer.code, json.loads(answer.body)

    def fetch(self, method: str, path: str, **more: Any) -> HTTPResponse:
        """Send a request."""

        async def fetch() -> HTTPResponse:
            request = HTTPRequest(f"http://127.0.0.1:{self.port}{path}", method=method, **more)
            return await AsyncHTTPClient().fetch(request, raise_error=False)

        return self.world.run(fetch())

    def close(self) -> None:
        """End it."""
        self.world.run(self._stop())
        self.world.close()
        HubOAuth.clear_instance()

    async def _stop(self) -> None:
        self.server.stop()
        AsyncHTTPClient().close()
        await self.server.close_all_connections()

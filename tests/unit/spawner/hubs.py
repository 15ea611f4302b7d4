"""A real JupyterHub as a process, without a proxy: what is tested here is what the Hub does with the spawner."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from tests.services.program import for_everybody

REPOSITORY = Path(__file__).parents[3]
TINY_SERVER = REPOSITORY / "tests" / "programs" / "tiny_server.py"
ADMIN_TOKEN = "admin-token-of-the-tests"
# A user of its own must reach the interpreter; one in a home of root's it cannot.
PYTHON = next((p for p in ("/usr/bin/python3",) if Path(p).exists()), sys.executable)

CONFIG = """
import os, sys
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {}
    async def check_routes(self, *args, **kwargs): pass

c = get_config()
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.hub_port = PORT
c.JupyterHub.bind_url = "http://127.0.0.1:1/"
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.services = [{"name": "tester", "api_token": "TOKEN"}]
c.JupyterHub.load_roles = [
    {"name": "tester", "services": ["tester"],
     "scopes": ["admin:users", "admin:servers", "admin:server_state", "tokens", "access:servers"]}
]
c.Spawner.cmd = COMMAND
c.GPUQueueLocalSpawner.homes = "HOMES"
c.GPUQueueLocalSpawner.interrupt_timeout = 3
c.GPUQueueLocalSpawner.profile_list = [
    {"display_name": "One GPU", "slug": "one", "kubespawner_override":
     {"cpu_limit": 2, "mem_limit": "4G", "extra_resource_limits": {"nvidia.com/gpu": "1"}}},
]

def odd_programs(spawner):
    if spawner.user.name in ("dies", "mute"):
        spawner.cmd = [*spawner.cmd, f"--{spawner.user.name}"]
        spawner.launch_timeout = 3

c.Spawner.pre_spawn_hook = odd_programs
c.Authenticator.username_pattern = "^[a-z]+$"
from gpuqueue_spawner.hub import configure
configure(c, manager_url="MANAGER", service_token="manager-token", spawner_secret_file="SECRET_FILE", admins=["root"],
          operator_groups=["DGX-Operators"], named_servers=2)
"""


@dataclass
class Hub:
    """One Hub; its database and homes outlive its processes."""

    folder: Path
    manager_url: str
    homes: Path
    command: list[str] = field(default_factory=lambda: [PYTHON, str(for_everybody(TINY_SERVER))])
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/hub/api"

    @property
    def log(self) -> str:
        return (self.folder / "hub.log").read_text()

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        config = CONFIG
        for name, value in {
            "PORT": self.port,
            "TOKEN": ADMIN_TOKEN,
            "HOMES": self.homes,
            "MANAGER": self.manager_url,
            "SECRET_FILE": self.folder / "secret",
            "COMMAND": self.command,
        }.items():
            config = config.replace(name, str(value))
        (self.folder / "config.py").write_text(config)
        with open(self.folder / "hub.log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", "config.py"],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "JUPYTERHUB_CRYPT_KEY": "ab" * 32},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await self.until(lambda: self.ask("/", quiet=True))

    async def until(self, question: Any, *, within: float = 30) -> Any:
        """Ask until the answer is true."""
        until = time.monotonic() + within
        while not (value := await question()):
            assert time.monotonic() < until, f"not in time; the Hub's log:\n{self.log[-6000:]}"
            await asyncio.sleep(0.05)
        return value

    async def ask(
        self, path: str, *, method: str = "GET", body: Any = None, token: str = ADMIN_TOKEN, quiet: bool = False
    ) -> HTTPResponse | None:
        """One request to the Hub's API."""
        request = HTTPRequest(
            f"{self.api}{path}",
            method=method,
            headers={"Authorization": f"token {token}"},
            body=json.dumps(body) if body is not None else ("" if method == "POST" else None),
            request_timeout=30,
        )
        try:
            return await AsyncHTTPClient().fetch(request, raise_error=False)
        except OSError:
            if quiet:
                return None
            raise

    async def spawn(self, user: str, options: Any = None) -> HTTPResponse:
        """Make the user and request a server."""
        await self.ask(f"/users/{user}", method="POST", body={})
        response = await self.ask(f"/users/{user}/server", method="POST", body=options)
        assert response is not None
        return response

    async def server(self, user: str) -> dict[str, Any] | None:
        """The Hub's model of the user's default server."""
        response = await self.ask(f"/users/{user}?include_stopped_servers")
        assert response is not None
        server: dict[str, Any] | None = json.loads(response.body)["servers"].get("")
        return server

    async def ready(self, user: str) -> bool:
        """Whether the server runs."""
        return bool((await self.server(user) or {}).get("ready"))

    async def events(self, user: str) -> AsyncIterator[dict[str, Any]]:
        """The progress events, as a page reads them."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        pending = b""

        def chunk(data: bytes) -> None:
            nonlocal pending
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: "):
                    queue.put_nowait(json.loads(line[6:]))

        request = HTTPRequest(
            f"{self.api}/users/{user}/server/progress",
            headers={"Authorization": f"token {ADMIN_TOKEN}"},
            streaming_callback=chunk,
            request_timeout=60,
        )
        reading = asyncio.ensure_future(AsyncHTTPClient().fetch(request, raise_error=False))
        reading.add_done_callback(lambda done: queue.put_nowait(None))
        while (event := await queue.get()) is not None:
            yield event

    async def kill(self, number: int = signal.SIGKILL) -> None:
        """End the process, and only it: notebooks live in sessions of their own."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            await asyncio.to_thread(self.process.wait, 20)

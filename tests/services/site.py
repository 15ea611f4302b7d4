"""A whole site on free loopback ports: proxy, Hub, queue manager and small notebooks, all real.

Knows how the parts are put together for a test. What people do on it: visitor.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from . import MissingProgram
from .program import Program, for_everybody, free_port, until

TREE = Path(__file__).parents[2]
TINY = TREE / "tests" / "programs" / "tiny_server.py"
PASSWORD = "only for tests"
PREFIX = "/services/gpuqueue/"

HUB_CONFIG = """
import sys
from gpuqueue_spawner.hub import configure
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_port = {hub}
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/hub_cookie_secret"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_api}"
c.ConfigurableHTTPProxy.auth_token = "{proxy_token}"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "{password}"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"dana"}}
c.Authenticator.username_pattern = r"^[a-z][a-z0-9_.]*\\Z"
c.JupyterHub.services = [{{"name": "test", "api_token": "{test_token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "tokens", "proxy"]}}
]
c.Spawner.cmd = {cmd}
c.Spawner.poll_interval = 5
c.GPUQueueLocalSpawner.homes = "{folder}/homes"
c.QueueingMixin.profile_list = {profiles}
{more}
configure(
    c, manager_url="http://127.0.0.1:{manager}", service_token="{service_token}",
    spawner_secret_file="{folder}/spawner_secret", admins=["dana"], operators=["olaf"], readers=["rita"],
    named_servers=3,
)
"""

MANAGER_CONFIG = """
c = get_config()
c.ManagerApp.port = {manager}
c.ManagerApp.data_dir = "{folder}"
c.ManagerApp.hub_api_url = "http://127.0.0.1:{hub}/hub/api"
c.ManagerApp.hub_token_file = "{folder}/service_token"
c.ManagerApp.upgrade_db = True
c.LocalCapacity.simulated_gpus = {gpus}
c.LocalCapacity.cpus = 64.0
c.LocalCapacity.memory = 2**40
c.LocalCapacity.node_name = "dgx1"
c.Policy.stop_grace = 5.0
c.Policy.retry_delay = 1.0
{more}
"""


def profile(gpus: int) -> dict[str, Any]:
    """A profile of KubeSpawner's format."""
    return {
        "display_name": f"{gpus} GPUs",
        "slug": f"gpu{gpus}",
        "kubespawner_override": {
            "cpu_guarantee": 1,
            "mem_guarantee": "1G",
            "extra_resource_guarantees": {"nvidia.com/gpu": str(gpus)},
        },
    }


@dataclass
class Site:
    """One site in one folder. Its parts are started and ended one by one, as accidents do."""

    folder: Path
    gpus: int = 4
    python: str = sys.executable  #: the interpreter of Hub and manager: another JupyterHub lives in another environment
    hub_more: str = ""
    manager_more: str = ""
    notebook: list[str] = field(default_factory=lambda: [sys.executable, "-I", str(for_everybody(TINY))])
    ports: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in ("public", "hub", "proxy_api", "manager")}
        self.service_token, self.test_token, self.proxy_token = (secrets.token_hex(16) for _ in range(3))
        self._write_configuration()
        env = {"PYTHONPATH": str(TREE), "CONFIGPROXY_AUTH_TOKEN": self.proxy_token, "TINY_SERVER_VERSION": "6.1.1"}
        self.proxy = self._program(
            "proxy",
            [
                *(_proxy(), "--log-level=warn", "--ip=127.0.0.1", f"--port={self.ports['public']}"),
                *("--api-ip=127.0.0.1", f"--api-port={self.ports['proxy_api']}"),
                f"--error-target=http://127.0.0.1:{self.ports['hub']}/hub/error",
            ],
            env,
        )
        hub = [self.python, "-m", "jupyterhub", "-f", str(self.folder / "jupyterhub_config.py")]
        self.hub = self._program("hub", hub, env)
        manager = [self.python, "-m", "gpuqueue_spawner.service", "-f", str(self.folder / "manager_config.py")]
        self.manager = self._program("manager", manager, env)

    def _program(self, name: str, argv: list[str], env: dict[str, str]) -> Program:
        return Program(name, argv, self.folder / f"{name}.log", env, cwd=self.folder)

    def _write_configuration(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        values = {
            **self.ports,
            "folder": self.folder,
            "password": PASSWORD,
            "gpus": self.gpus,
            "cmd": self.notebook,
            "profiles": [profile(gpus) for gpus in (1, 2, 3, 4, 0)],
            "service_token": self.service_token,
            "test_token": self.test_token,
            "proxy_token": self.proxy_token,
        }
        hub = HUB_CONFIG.format(**values, more=self.hub_more)
        (self.folder / "jupyterhub_config.py").write_text(hub)
        (self.folder / "manager_config.py").write_text(MANAGER_CONFIG.format(**values, more=self.manager_more))
        _secret(self.folder / "service_token", self.service_token)
        _secret(self.folder / "spawner_secret", secrets.token_hex(32))

    @property
    def programs(self) -> tuple[Program, ...]:
        """All parts, in the order of a sensible start; none needs it."""
        return (self.proxy, self.manager, self.hub)

    @property
    def url(self) -> str:
        """Where a browser goes."""
        return f"http://127.0.0.1:{self.ports['public']}"

    @property
    def manager_url(self) -> str:
        """Where spawners go."""
        return f"http://127.0.0.1:{self.ports['manager']}"

    def start(self) -> None:
        """Start all parts, and wait until they answer."""
        for program in self.programs:
            if not program.alive:
                program.start()
        self.wait()

    def wait(self, *, within: float = 60) -> None:
        """Wait until Hub and queue answer through the proxy and know each other."""

        def well() -> bool:
            with contextlib.suppress(requests.RequestException):
                hub = requests.get(self.url + "/hub/api/", timeout=2)
                queue = requests.get(self.url + PREFIX + "health", timeout=2)
                if hub.status_code == 404:  # a proxy that came back is told its routes, as its supervisor would
                    self.hub_api("POST", "/proxy")
                return hub.ok and queue.ok and not queue.json()["problem"]
            return False

        until(well, within=within, what="the site is up", story=self.story)

    def hub_answers(self, *, within: float = 60) -> None:
        """Wait until the Hub answers through the proxy, whatever the queue does."""

        def well() -> bool:
            with contextlib.suppress(requests.RequestException):
                return requests.get(self.url + "/hub/api/", timeout=2).ok
            return False

        until(well, within=within, what="the Hub answers", story=self.story)

    def stop(self) -> None:
        """End everything, the notebooks too."""
        for program in reversed(self.programs):
            with contextlib.suppress(AssertionError):
                program.stop()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def processes(self) -> dict[int, dict[str, str]]:
        """Living processes that carry this installation's mark, with their environment: read from the machine."""
        instance_file = self.folder / "instance"
        instance = instance_file.read_text().strip() if instance_file.exists() else ""
        found = {}
        for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):
            with contextlib.suppress(OSError):
                environ = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
                marks = dict(item.partition("=")[::2] for item in environ.split("\0") if "=" in item)
                if instance and marks.get("GPUQUEUE_JOB", "").startswith(instance + "/"):
                    found[pid] = marks
        return found

    def database(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the queue's database beside the manager."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/gpuqueue.sqlite?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    def story(self) -> str:
        """The ends of all logs, for a failed test."""
        return "\n".join(f"---- {program.name}\n{program.tail()}" for program in self.programs)

    def hub_api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask the Hub's API as a test with all rights."""
        headers = {"Authorization": f"token {self.test_token}"}
        url = f"http://127.0.0.1:{self.ports['hub']}/hub/api{path}"
        return requests.request(method, url, headers=headers, timeout=30, **more)


def _secret(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def _proxy() -> str:
    path = shutil.which("configurable-http-proxy")
    if path is None:
        raise MissingProgram("configurable-http-proxy", "make test installs it from npm")
    return path


@contextlib.contextmanager
def site(**settings: Any) -> Iterator[Site]:
    """A running site in a folder that every user may enter; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gpuqueue-site-", dir="/var/tmp"))  # notebooks of other users enter it
    folder.chmod(0o755)
    it = Site(folder, **settings)
    try:
        it.start()
        yield it
    finally:
        it.stop()
        shutil.rmtree(folder, ignore_errors=True)


def version_of(python: str) -> tuple[int, ...]:
    """The JupyterHub of an environment."""
    import subprocess

    out = subprocess.run(
        [python, "-c", "import jupyterhub; print(jupyterhub.__version__)"], capture_output=True, text=True
    )
    return tuple(int(part) for part in re.findall(r"\d+", out.stdout)[:3])

"""`gpuqueue demo`: JupyterHub with the queue on this machine, to try it; proxy, Hub, queue manager and a directory.

Knows which programs there are and in which order they end. How they are kept running: supervisor.py; what outlives
them: folder.py; how Hub and manager are configured: hub_config/.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pynvml

from . import directory, machine
from .ending import end_leftovers, end_notebooks
from .folder import Folder, FolderInUse, NotOurs, default_folder
from .supervisor import Printer, Program, Supervisor
from .web import resync_proxy, wait_until_up
from .welcome import NODE, welcome

CONFIGURATION = Path(__file__).parents[2] / "hub_config"
LOOK_S = 1.0  # how often ended children that nobody waits for are buried
SIMULATED = 8
STATELESS_S = 3.0  # for programs that have nothing to save


def main(argv: Sequence[str]) -> int:
    """Run the demo until it is told to end; the exit status."""
    given = _parser().parse_args(argv)
    folder = Folder(given.data)
    try:
        with folder.locked():
            return asyncio.run(Demo(folder, given).run())
    except (FolderInUse, NotOurs, Unable) as error:
        print(f"gpuqueue demo: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpuqueue demo", description="JupyterHub with the GPU queue, to try it.")
    add_arguments(parser, folder=default_folder())
    parser.add_argument("--fresh", action="store_true", help="forget what earlier demos left in that folder")
    parser.add_argument("--visitor", type=shlex.split, help="run this command once all is up, then end with its status")
    return parser


def add_arguments(parser: argparse.ArgumentParser, *, folder: Path) -> None:
    """What demo and tour both take."""
    parser.add_argument("--port", type=_port, default=8000, help="port on 127.0.0.1 (default: 8000)")
    parser.add_argument("--gpus", type=_count, help="simulate so many GPUs (default: the real ones, else 8 simulated)")
    parser.add_argument("--data", type=Path, default=folder, help="folder that outlives the demo (%(default)s)")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed is 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of GPUs; allowed is 0 to 1024")
    return int(text)


class Unable(Exception):
    """The demo cannot start here; the text says why and what helps."""


class Demo:
    """One demo, from start to end."""

    def __init__(self, folder: Folder, given: argparse.Namespace) -> None:
        self.folder = folder
        self.port: int = given.port
        self.fresh: bool = given.fresh
        self.visitor: list[str] | None = given.visitor
        self.gpus: int | None = given.gpus if given.gpus is not None or real_gpus() else SIMULATED
        self.printer = Printer()

    async def run(self) -> int:
        """Start all, stay, end all; the exit status."""
        self._check()
        supervisor = Supervisor(self.printer)
        supervisor.listen()
        machine.adopt_orphans()
        await self._prepare()
        async with AsyncExitStack() as stack:  # ends in reverse: the Hub first, so that nothing starts meanwhile
            burier = asyncio.create_task(self._bury(supervisor), name="burier")
            stack.callback(burier.cancel)
            stack.push_async_callback(end_leftovers, self.folder, supervisor)
            for program in self._programs():
                if program.name == "hub":
                    stack.push_async_callback(end_notebooks, self.folder, supervisor, manager=self.manager_url)
                await stack.enter_async_context(supervisor.running(program))
            status = await self._stay(supervisor)
            self.printer.say("demo", "ends: notebooks too; what waits in the queue goes on at the next start")
        if supervisor.problem is not None:
            raise Unable(str(supervisor.problem))
        self.printer.say("demo", "ended")
        return status

    def _check(self) -> None:
        if not machine.port_is_free(self.port):
            who = machine.who_listens(self.port)
            words = f"port {self.port} on 127.0.0.1 is in use{f' ({who})' if who else ''}"
            raise Unable(f"{words}: choose another with PORT={self.port + 1 if self.port < 65535 else 8000}")
        if not CONFIGURATION.is_dir():
            raise Unable(f"{CONFIGURATION} is missing: run it from a copy of the project's repository")
        if shutil.which("configurable-http-proxy") is None:
            raise Unable("configurable-http-proxy is not installed: `make demo` does it, or npm")

    async def _prepare(self) -> None:
        left = machine.leftovers(self.folder.instance())
        if self.fresh:
            await end_leftovers(self.folder)
            self.folder.forget()
        elif left:
            self.printer.say("demo", f"{len(left)} processes of notebooks outlived the last demo; they run on")
        self.folder.prepare()
        self.ports = self.folder.ports()
        self.manager_url = f"http://127.0.0.1:{self.ports['manager']}"
        self.hub_url = f"http://127.0.0.1:{self.ports['hub']}"
        self.with_directory = directory.available()
        if self.with_directory:
            people = [
                directory.person(name, each["password"], uidNumber=each["uid"], gidNumber=each["gid"])
                for name, each in self.folder.accounts().items()
            ]
            await asyncio.to_thread(
                directory.prepare, self._ldap, "\n".join([directory.frame(), *people, *self._groups()])
            )
        site = {
            "port": self.port,
            "ports": self.ports,
            "directory": self.with_directory,
            "folder": str(self.folder.path),
        }
        self.folder.write("site.json", {**site, "gpus": self.gpus, "real_gpus": real_gpus(), "node": NODE})

    @property
    def _ldap(self) -> Path:
        return self.folder.private / "ldap"

    def _groups(self) -> list[str]:
        accounts = self.folder.accounts()
        names = sorted({group for each in accounts.values() for group in each["groups"]})
        return [
            directory.group(group, [name for name, each in accounts.items() if group in each["groups"]])
            for group in names
        ]

    def _programs(self) -> list[Program]:
        """In the order of a sensible start; none waits for another."""
        env = {"GPUQUEUE_DEMO": str(self.folder.private), "PYTHONUNBUFFERED": "1"}
        proxy = Program(
            name="proxy",
            argv=[
                "configurable-http-proxy",
                *("--ip", "127.0.0.1", "--port", str(self.port)),
                *("--api-ip", "127.0.0.1", "--api-port", str(self.ports["proxy_api"])),
                *(
                    "--default-target",
                    self.hub_url,
                    "--error-target",
                    f"{self.hub_url}/hub/error",
                    "--log-level",
                    "warn",
                ),
            ],
            grace=STATELESS_S,
            env={"CONFIGPROXY_AUTH_TOKEN": self.folder.secret("proxy_token")},
            unsaid=re.compile(
                r"^\s|^}|Failed to get custom error page|: Terminated$"  # the tails of its stack traces
                r"|error: (Uncaught Exception|Error): (read ECONNRESET|write EPIPE)$"  # a browser closed a page
            ),
            again=lambda: resync_proxy(self.hub_url, self.folder.secret("demo_token")),
        )
        manager = [
            sys.executable,
            "-m",
            "gpuqueue_spawner.cli",
            "manager",
            "-f",
            str(CONFIGURATION / "demo_manager.py"),
        ]
        jupyterhub = [sys.executable, "-m", "jupyterhub", "-f", str(CONFIGURATION / "demo.py")]
        slapd = Program(
            name="slapd",
            argv=directory.command(self._ldap, self.ports["ldap"]),
            grace=STATELESS_S,
            unsaid=re.compile(
                r"^\s|OpenLDAP: slapd|slapd (starting|stopped|shutdown)|daemon: shutdown|deferring operation"
            ),
        )
        return [
            *([slapd] if self.with_directory else []),
            proxy,
            Program(name="manager", argv=manager, env=env),
            Program(name="hub", argv=jupyterhub, env=env),
        ]

    async def _bury(self, supervisor: Supervisor) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            machine.bury(but=supervisor.pids.values())

    async def _stay(self, supervisor: Supervisor) -> int:
        """Until it is time to end; the exit status."""
        site, tell = f"http://127.0.0.1:{self.port}", functools.partial(self.printer.say, "demo")
        up = asyncio.create_task(wait_until_up(self.hub_url, site, tell=tell), name="wait until up")
        ending = asyncio.create_task(supervisor.ending.wait(), name="ending")
        await asyncio.wait([up, ending], return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            return 0
        supervisor.up.set()
        for line in self._welcome(supervisor.pids.get("hub")):
            self.printer.say("demo", line)
        if self.visitor is None:
            await ending
            return 0
        return await self._visit(ending)

    def _welcome(self, hub_pid: int | None) -> list[str]:
        return welcome(
            port=self.port,
            gpus=self.gpus,
            accounts=self.folder.accounts(),
            with_directory=self.with_directory,
            folder=self.folder.path,
            hub_pid=hub_pid,
        )

    async def _visit(self, ending: asyncio.Task[bool]) -> int:
        """Run the visitor, who is told where to go by its environment; its exit status."""
        assert self.visitor is not None
        env = {**os.environ, "GPUQUEUE_DEMO": str(self.folder.private), "GPUQUEUE_URL": f"http://127.0.0.1:{self.port}"}
        process = await asyncio.create_subprocess_exec(
            *self.visitor, env=env, preexec_fn=machine.dies_with(os.getpid()), start_new_session=True
        )
        done = asyncio.create_task(process.wait(), name="visitor")
        await asyncio.wait([done, ending], return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            process.kill()
        return await done


def real_gpus() -> int:
    """How many GPUs the NVIDIA driver of this machine has; 0 without one."""
    try:
        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return 0

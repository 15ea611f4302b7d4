"""Keeps programs running side by side: starts again what dies, ends what it started, prints what they say.

Knows processes and pipes, not what they are for. Which programs a demo has: demo.py. What Linux does: machine.py.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from . import machine

LONGEST_LINE = 1 << 20
GRACE_S = 8.0  # between the request to end and the kill
PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # before a program that died is started again, doubled each time
AGAIN_S = 60.0  # for whoever has to be told that it is there again
STEADY_S = 30.0  # one that ran this long starts again from the shortest pause
TRIES = 4  # deaths in a row of a program before the whole is up: then something is wrong that time will not mend
NOTHING = re.compile(r"(?!)")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
COLOURS = {"demo": 33, "hub": 34, "manager": 35, "proxy": 36, "slapd": 32, "tour": 33}


class GaveUp(Exception):
    """A program does not come up."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"{name} {how}, {TRIES} times in a row; what it said is above")


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  #: besides ours
    grace: float | None = None  #: seconds between the request to end and the kill; unset: GRACE_S
    again: Callable[[], Awaitable[None]] | None = None  #: called whenever it was started again
    unsaid: re.Pattern[str] = NOTHING  #: lines that tell nobody anything are not printed


class Printer:
    """Prints one line an event, the name of the program before it, in its colour where a person looks at it."""

    def __init__(self, *, colour: bool | None = None) -> None:
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ if colour is None else colour

    def say(self, name: str, text: str) -> None:
        """Print one line."""
        label = f"{name:<8}"
        if self.colour:
            label = f"\x1b[{COLOURS.get(name, 37)}m{label}\x1b[0m"
        with suppress(BrokenPipeError):  # nobody reads any more: the programs are not to suffer for it
            print(f"{label}{text}", flush=True)


class Supervisor:
    """Programs side by side."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.up = asyncio.Event()  #: set once the whole has come up: from then on nothing is given up
        self.ending = asyncio.Event()  #: set: end
        self.hurry = asyncio.Event()  #: set: no patience with what does not end by itself
        self.problem: GaveUp | None = None
        self.pids: dict[str, int] = {}

    def listen(self) -> None:
        """End at SIGINT, SIGTERM and SIGHUP; at the second one, at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.end)

    def end(self) -> None:
        """End, or end faster."""
        (self.hurry if self.ending.is_set() else self.ending).set()

    @asynccontextmanager
    async def running(self, program: Program) -> AsyncIterator[None]:
        """Keep a program running for as long as the block runs."""
        task = asyncio.create_task(self._keep(program), name=program.name)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _keep(self, program: Program) -> None:
        pause, deaths = PAUSE_S, 0
        while True:
            began = time.monotonic()
            how = await self._once(program, again=deaths > 0)
            steady = time.monotonic() - began > STEADY_S
            pause, deaths = (PAUSE_S, 1) if steady else (pause, deaths + 1)
            if deaths >= TRIES and not self.up.is_set():
                self.problem = GaveUp(program.name, how)
                self.ending.set()
                return
            self.printer.say("demo", f"{program.name} {how}; it is started again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _once(self, program: Program, *, again: bool) -> str:
        """Run it to its end; how that was, in words."""
        process = await asyncio.create_subprocess_exec(
            *program.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **program.env},
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for us alone: the programs end in their order
            preexec_fn=machine.dies_with(os.getpid()),
        )
        self.pids[program.name] = process.pid
        listener = asyncio.create_task(self._listen(program, process), name=f"{program.name}: output")
        greeter = asyncio.create_task(_bounded(program.again) if again else asyncio.sleep(0), name="again")
        try:
            status = await process.wait()
        finally:
            greeter.cancel()
            await self._end(process, GRACE_S if program.grace is None else program.grace)
            await asyncio.wait([listener], timeout=1)  # its last words; a child that outlived it keeps the pipe open
            listener.cancel()
            del self.pids[program.name]
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    async def _listen(self, program: Program, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than any line we print
                continue
            if not line:
                return
            text = ESCAPES.sub("", line.decode(errors="replace")).rstrip()
            if text and not program.unsaid.search(text):
                self.printer.say(program.name, text)

    async def _end(self, process: Process, grace: float) -> None:
        """SIGTERM, and SIGKILL when that does not help in time."""
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        await self.patience(asyncio.create_task(process.wait(), name="end"), grace)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def patience(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Wait for a task, until the time is over or somebody is in a hurry; then it is cancelled."""
        hurry = asyncio.create_task(self.hurry.wait(), name="hurry")
        await asyncio.wait([task, hurry], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        task.cancel()
        await asyncio.wait([task])


async def _bounded(call: Callable[[], Awaitable[None]] | None) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(AGAIN_S):
            await (call or _nothing)()


async def _nothing() -> None:
    pass

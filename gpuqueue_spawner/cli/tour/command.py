"""`gpuqueue tour`: a demo with a scripted visitor, and a look at what it left behind.

Knows how the demo is started and what must be gone afterwards. What the visitor does: visit.py.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from .. import machine
from ..demo import add_arguments
from ..folder import Folder, default_folder
from ..supervisor import Printer
from .visit import LABEL

LAST_S = 5.0  # for the last processes to be gone, once the demo says that it has ended
LOOK_S = 0.2


def main(argv: Sequence[str]) -> int:
    """Run the demo with its visitor; 0 if every step held and nothing is left."""
    given = _parser().parse_args(argv)
    printer, folder = Printer(), Folder(given.data)
    machine.adopt_orphans()  # what loses its parent on the way becomes ours, and is seen
    status = _demo(given)
    left = _left(folder)
    for process in left:
        with suppress(psutil.Error):
            printer.say(LABEL, f"left behind: pid {process.pid}, {' '.join(process.cmdline())[:200]}")
    free = machine.port_is_free(given.port)
    if not free:
        printer.say(LABEL, f"port {given.port} is still in use ({machine.who_listens(given.port)})")
    held = status == 0 and not left and free
    printer.say(LABEL, "every step held, and no process is left" if held else "NOT every step held")
    if held:
        shutil.rmtree(folder.path, ignore_errors=True)
    return 0 if held else max(status, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpuqueue tour", description="The demo with a scripted visitor.")
    add_arguments(parser, folder=default_folder().with_name(f"{default_folder().name}-tour"))
    parser.add_argument("--shots", type=Path, default=Path("build/tour"), help="folder for pictures (%(default)s)")
    parser.add_argument("--http", action="store_true", help="over HTTP, also where there is a browser")
    return parser


def _demo(given: argparse.Namespace) -> int:
    """In a folder of its own, from nothing: what waits in somebody's demo is not touched."""
    visitor = [sys.executable, "-m", "gpuqueue_spawner.cli.tour.visit", *([] if given.http else [str(given.shots)])]
    command = [sys.executable, "-m", "gpuqueue_spawner.cli", "demo", "--fresh", "--visitor", shlex.join(visitor)]
    command += ["--port", str(given.port), "--data", str(given.data)]
    command += ["--gpus", str(given.gpus)] if given.gpus is not None else []
    # Ctrl-C reaches the demo by itself: both are in front of the terminal. What else is to end us is passed on.
    signal.signal(signal.SIGINT, lambda *_: None)
    with subprocess.Popen(command, preexec_fn=machine.dies_with(os.getpid())) as demo:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: demo.send_signal(number))
        return demo.wait()


def _left(folder: Folder) -> list[psutil.Process]:
    """What still lives of it, after a moment's grace."""
    end = time.monotonic() + LAST_S
    while True:
        machine.bury(but=())
        left = {process.pid: process for process in machine.leftovers(folder.instance())}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.environ().get("GPUQUEUE_DEMO") == str(folder.private):
                    left[process.pid] = process
        if not left or time.monotonic() > end:
            return [*left.values()]
        time.sleep(LOOK_S)

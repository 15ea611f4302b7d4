"""`gpuqueue homes`: runs the service that makes people's folders on a share.

Knows arguments and signals; what is made and how it is asked for: gpuqueue_spawner/homes/.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from tornado.httpserver import HTTPServer

from ..homes import Folders, make_app
from ..homes.folders import ShareAway
from ..service.secret import Secret

PORT = 8085
SMALLEST = 1000


def main(argv: list[str]) -> int:
    """Serve until told to end; the exit status."""
    given = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if given.minimum_uid < 1:
        return _failed(f"--minimum-uid is {given.minimum_uid}; allowed is 1 or more")
    try:
        secret = Secret.of_file(given.secret_file)
        asyncio.run(_serve(given, secret))
    except (ValueError, OSError) as error:
        return _failed(str(error))
    return 0


async def _serve(given: argparse.Namespace, secret: Secret) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    folders = Folders(given.root)
    # Beside the requests: a share that hangs at the start is told to those who ask, not by a process that is not there.
    threading.Thread(target=_sweep, args=(folders,), name="sweep", daemon=True).start()
    app = make_app(folders, allowed=secret.matches, smallest=given.minimum_uid)
    server = HTTPServer(app, max_body_size=1 << 16)
    server.listen(given.port, address=given.address)
    logging.getLogger("gpuqueue").info("folders in %s are made at port %s", given.root, given.port)
    await ended.wait()
    server.stop()


def _sweep(folders: Folders) -> None:
    with suppress(ShareAway):
        folders.sweep()


def _parser() -> argparse.ArgumentParser:
    words = "Make people's folders on a share when the Hub asks for them. Runs as root, in a pod of its own."
    parser = argparse.ArgumentParser(prog="gpuqueue homes", description=words)
    parser.add_argument(
        "--root", type=Path, required=True, help="the folder, on the share, that holds a folder for each"
    )
    parser.add_argument("--secret-file", type=Path, required=True, help="file of mode 0600 with what the Hub must show")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on ({PORT})")
    parser.add_argument("--address", default="", help="address to listen on; unset: all")
    parser.add_argument(
        "--minimum-uid", type=int, default=SMALLEST, help=f"smallest numeric user that gets a folder ({SMALLEST})"
    )
    return parser


def _failed(words: str) -> int:
    print(f"gpuqueue homes: {words}", file=sys.stderr)
    return 1

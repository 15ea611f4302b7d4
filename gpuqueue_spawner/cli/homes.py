"""`gpuqueue homes`: runs the service that makes people's folders on a share, and volumes of them.

Knows arguments and signals; what is made and how it is asked for: gpuqueue_spawner/homes/.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import threading
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tornado.httpserver import HTTPServer

from ..homes import Folders, make_app
from ..homes.folders import ShareAway
from ..homes.volumes import Place, read_place
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
        place = _place(given)
        asyncio.run(_serve(given, secret, place))
    except (ValueError, OSError) as error:
        return _failed(str(error))
    return 0


def _place(given: argparse.Namespace) -> Place | None:
    """Where volumes are for; None: none are made."""
    if given.volumes:
        return read_place(given.volumes, namespace=given.namespace, options=given.mount_option)
    if given.namespace or given.mount_option:
        raise ValueError("--namespace and --mount-option say how volumes are; set --volumes, too")
    return None


async def _serve(given: argparse.Namespace, secret: Secret, place: Place | None) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    folders = Folders(given.root)
    # Beside the requests: a share that hangs at the start is told to those who ask, not by a process that is not there.
    threading.Thread(target=_sweep, args=(folders,), name="sweep", daemon=True).start()
    async with AsyncExitStack() as stack:
        volumes = None
        if place is not None:
            from ..homes.cluster import Volumes  # takes 50 MB, and a second, that a service without them need not

            volumes = Volumes(place)
            stack.push_async_callback(volumes.close)
        app = make_app(folders, allowed=secret.matches, smallest=given.minimum_uid, volumes=volumes)
        server = HTTPServer(app, max_body_size=1 << 16)
        server.listen(given.port, address=given.address)
        stack.callback(server.stop)
        logging.getLogger("gpuqueue").info("folders in %s are made at port %s", given.root, given.port)
        await ended.wait()


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
    volumes = parser.add_argument_group("volumes", "A PersistentVolume for each person, made in the cluster.")
    volumes.add_argument(
        "--volumes", default="", metavar="SERVER:/PATH", help="what --root is on its server; unset: none"
    )
    volumes.add_argument("--namespace", default="", help="namespace of the claims that volumes are made for")
    volumes.add_argument(
        "--mount-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="of their mount, as hard; as often as needed",
    )
    return parser


def _failed(words: str) -> int:
    print(f"gpuqueue homes: {words}", file=sys.stderr)
    return 1

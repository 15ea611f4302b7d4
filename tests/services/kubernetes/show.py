"""`make cluster`: a real cluster on this machine with the chart installed, and a Hub to click on, until Ctrl-C.

The cluster's network is its own, so that what listens here is a door into it. What is behind: cluster.py, chart.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
from urllib.parse import urlsplit

from tests.services.database import running
from tests.services.site import PASSWORD

from .chart import HUB, Installed, Networked, install
from .cluster import cluster
from .images import images

ADMIN = "dana"
CHUNK = 1 << 16


def main() -> None:
    """Bring it up, and take it away again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    door = socket.create_server(("127.0.0.1", given.port))  # of this machine's network, which is left below
    print("The images are looked after; building them takes minutes, once.", flush=True)
    built = images()
    references = built.provide("hub", "proxy", "manager", "notebook")
    with cluster(built, references) as it, running(Networked, "pg-") as server:
        server.make("gpuqueue")
        print("The cluster is up; the chart is being installed.", flush=True)
        hub = {"extraConfig": f"{HUB}c.Authenticator.admin_users = {{{ADMIN!r}}}\n", "admins": [ADMIN]}
        house = install(it, "jupyter", database=server.address_for_pods("gpuqueue"), hub=hub)
        kubectl = f"nsenter --net=/proc/{os.getpid()}/ns/net kubectl --kubeconfig={it.kubectl.kubeconfig}"
        print(
            f"""
  http://127.0.0.1:{given.port}

Any name of small letters, such as ada, logs in with the password {PASSWORD!r}; {ADMIN} is the admin.
Two nodes have eight pretended GPUs each. As root:

  {kubectl} get pods --all-namespaces

Ctrl-C takes everything away.
""",
            flush=True,
        )
        asyncio.run(_stand_open(door, house))


async def _stand_open(door: socket.socket, house: Installed) -> None:
    """Pass on what comes in, until told to end."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    address = str(urlsplit(house.url).hostname)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(address, 80)
            with contextlib.closing(back):
                await asyncio.wait(
                    [asyncio.create_task(_copy(reader, back)), asyncio.create_task(_copy(there, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )

    server = await asyncio.start_server(pass_on, sock=door)
    await told.wait()
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


if __name__ == "__main__":
    main()

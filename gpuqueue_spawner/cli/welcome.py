"""What a demo tells whoever started it, once all is up. Words only."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NODE = "dgx1"


def welcome(
    *,
    port: int,
    gpus: int | None,
    accounts: Mapping[str, Mapping[str, Any]],
    with_directory: bool,
    folder: Path,
    hub_pid: int | None,
) -> list[str]:
    """The lines.

    :param gpus: how many are simulated; None: the machine's own are given out.
    """
    url = f"http://127.0.0.1:{port}"
    some = max(1, (gpus or 2) // 2)
    return [
        "",
        f"JupyterHub with the GPU queue is up:  {url}/",
        f"  from another machine: ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}",
        "",
        *_room(gpus),
        *_people(accounts, with_directory=with_directory),
        "",
        "What to try:",
        f"  1. Log in as alice and start {some} GPUs; then as bob, in a private window, with all of them: he waits.",
        "  2. Read his place and the reason on the waiting page, then stop alice's notebook: his starts.",
        f"  3. kill -9 {hub_pid or 'the Hub'} (the Hub) while somebody waits: it comes back, and the place is kept.",
        f"  4. As dana, look at {url}/services/gpuqueue/admin",
        "",
        "Ctrl-C ends all of it, the notebooks too. What waits is kept and goes on at the next start;",
        f"FRESH=1 forgets it. Folders of the people and everything else: {folder}",
        "",
    ]


def _room(gpus: int | None) -> list[str]:
    lines = (
        [f"GPUs: those of this machine, {socket.gethostname()}."]
        if gpus is None
        else [f"GPUs: {gpus} simulated ones in a pretended server, {NODE}; no program can use them."]
    )
    if os.geteuid() != 0:
        lines.append(
            f"Not started as root: all notebooks run as uid {os.geteuid()}, users are not protected from each other."
        )
    return [*lines, ""]


def _people(accounts: Mapping[str, Mapping[str, Any]], *, with_directory: bool) -> list[str]:
    source = "in an LDAP directory of this demo's own" if with_directory else "in a file: slapd is not installed here"
    return [
        f"Accounts, {source}:",
        *(f"  {name:<8}{each['password']:<18}{', '.join(each['groups'])}" for name, each in accounts.items()),
    ]

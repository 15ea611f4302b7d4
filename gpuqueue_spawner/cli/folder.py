"""The folder of a demo: secrets, accounts and ports that outlive it, each in a file that only its owner reads.

Knows files. What is started on them: demo.py, and the configuration files in hub_config/.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import machine

ROOT_FOLDER = Path("/var/lib/gpuqueue-demo")
SECRETS = ("hub_token", "demo_token", "proxy_token", "hub_cookie_secret", "crypt_key", "spawner_secret")
PORTS = ("hub", "manager", "proxy_api", "ldap")
FIRST_NUMBER = 10_001  #: numeric users of the demo's people
USERS, ADMINS = "DGX-Users", "DGX-Admins"
PEOPLE = {"alice": (USERS,), "bob": (USERS,), "carol": (USERS,), "dana": (USERS, ADMINS)}
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  #: none that is taken for another


class FolderInUse(Exception):
    """Another demo works in the folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"another demo uses {path}: end it, or give this one a folder of its own with GPUQUEUE_DATA=..."
        )


class NotOurs(Exception):
    """The folder holds something else."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not empty and no demo made it: choose another folder with GPUQUEUE_DATA=...")


def default_folder() -> Path:
    """Where a demo keeps its data."""
    given = os.environ.get("GPUQUEUE_DATA")
    if given:
        return Path(given).absolute()
    if os.geteuid() == 0:
        return ROOT_FOLDER
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "gpuqueue-demo"


class Folder:
    """One demo's folder: `private` for its own eyes, `homes` for the people's folders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.private = path / "private"
        self.homes = path / "homes"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other demos out.

        :raises FolderInUse: one is in.
        :raises NotOurs: the folder holds something else.
        """
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.private / "lock").exists():
            raise NotOurs(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.private.mkdir(mode=0o700, exist_ok=True)
        with open(self.private / "lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderInUse(self.path) from None
            yield

    def forget(self) -> None:
        """Remove what earlier demos left, but the lock."""
        shutil.rmtree(self.homes, ignore_errors=True)
        for path in self.private.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def prepare(self) -> None:
        """Make what is missing."""
        self.path.chmod(0o711)  # people enter their own folders below
        self.private.chmod(0o700)
        self.homes.mkdir(mode=0o711, exist_ok=True)
        self.homes.chmod(0o711)
        for name in SECRETS:
            _once(self.private / name, secrets.token_hex(32))
        _once(self.private / "accounts.json", json.dumps(_accounts(), indent=1))

    def accounts(self) -> dict[str, dict[str, Any]]:
        """The people of the demo, with their passwords."""
        accounts: dict[str, dict[str, Any]] = json.loads((self.private / "accounts.json").read_text())
        return accounts

    def secret(self, name: str) -> str:
        """One of the secrets."""
        return (self.private / name).read_text().strip()

    def instance(self) -> str:
        """The id that the manager gave this installation; empty before its first start."""
        path = self.private / "instance"
        return path.read_text().strip() if path.exists() else ""

    def ports(self) -> dict[str, int]:
        """A port for each program; those of the last time where they are free, so that notebooks find their Hub."""
        path = self.private / "ports.json"
        last = json.loads(path.read_text()) if path.exists() else {}
        kept = {name: port for name, port in last.items() if name in PORTS and machine.port_is_free(port)}
        new = machine.free_ports(len(PORTS))
        ports = {name: kept.get(name, port) for name, port in zip(PORTS, new, strict=True)}
        self.write("ports.json", ports)
        return ports

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Write one of the files that configuration is read from."""
        part = self.private / f"{name}.part"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(values, file, indent=1)
        part.rename(self.private / name)


def _once(path: Path, text: str) -> None:
    """Write a file that is not there yet, whole or not at all."""
    if path.exists():
        return
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.rename(path)


def _accounts() -> dict[str, dict[str, Any]]:
    return {
        name: {
            "password": "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(3)),
            "uid": FIRST_NUMBER + index,
            "gid": FIRST_NUMBER + index,
            "groups": [*groups],
        }
        for index, (name, groups) in enumerate(PEOPLE.items())
    }

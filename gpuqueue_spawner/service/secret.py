"""A shared secret, kept in a private file, compared without telling how much of it was right.

Knows modes and owners of files. What the secrets are for: app.py.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Collection
from pathlib import Path

ALLOWED = "allowed is mode 0600, and 0640 for a file of root's whose group this process, not root itself, is in"


class Secret:
    """The content of one secret file."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    @classmethod
    def of_file(cls, path: Path) -> Secret:
        """Read the file, or make it with a new random secret when there is none.

        :raises ValueError: it is empty, too short, or readable by others.
        :raises OSError: it can neither be read nor made.
        """
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        except FileExistsError:
            pass
        value = read_private(path)
        if len(value) < 32:
            raise ValueError(f"{path} holds a secret of {len(value)} bytes; allowed is 32 or more")
        return cls(value)

    def matches(self, given: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.value, given)


def read_private(path: Path) -> bytes:
    """What a secret file holds, without white space around it.

    :raises ValueError: it is readable by others.
    :raises OSError: it cannot be read.
    """
    if not is_private(path.stat(), user=os.geteuid(), groups={os.getegid(), *os.getgroups()}):
        raise ValueError(f"{path} holds a secret and may be read by others; {ALLOWED}")
    return path.read_bytes().strip()


def is_private(file: os.stat_result, *, user: int, groups: Collection[int]) -> bool:
    """Whether its owner alone reads it, or it is root's, who let a group of this process read it.

    The latter is how a cluster gives a secret to a pod whose user is not root. Only root can open it wider, and only
    root says who is in a group.
    """
    open_to = stat.S_IMODE(file.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    if not open_to:
        return True
    return open_to == stat.S_IRGRP and file.st_uid == 0 and user != 0 and file.st_gid in groups

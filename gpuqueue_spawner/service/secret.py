"""A shared secret, kept in a file of mode 0600, compared without telling how much of it was right."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path


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
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} holds a secret and may be read by others; allowed is mode 0600")
    return path.read_bytes().strip()

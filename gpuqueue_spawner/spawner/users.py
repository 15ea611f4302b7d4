"""Which numeric user each person's notebooks run under, and the folder that stays theirs between servers.

Knows files and numbers; no passwd, no directory. Who asks: local.py.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .errors import SpawnRefused

SMALLEST_GROUP = 100  #: Debian's "users"; below are the system's own, such as disk and shadow
FOLDER_NAME_LIMIT = 200  #: file systems take 255 bytes


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The numeric user a job's processes run under."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def directory_identity(auth_state: Mapping[str, Any], *, minimum: int, given_out: range) -> Identity | None:
    """What the login left of the directory's `uid`, `gid` and `gids`; None: the directory has no number.

    :raises SpawnRefused: a number that notebooks may not have, the system's or one that is given out to others.
    """
    uid = auth_state.get("uid")
    if uid is None:
        return None
    gid = auth_state.get("gid") or uid
    for kind, number, smallest in (("user", uid, max(1, minimum)), ("group", gid, SMALLEST_GROUP)):
        if type(number) is not int or number < smallest or number in given_out:
            words = f"The directory gives you the numeric {kind} {number!r}, which notebooks may not have."
            raise SpawnRefused(words, code="gpuqueue.users.invalid")
    groups = (group for group in auth_state.get("gids") or () if type(group) is int and group >= minimum)
    return Identity(uid=uid, gid=gid, groups=tuple(groups))


class NumberedUsers:
    """Gives each name a number of its own in a range, for good: it is never given to a second one."""

    def __init__(self, path: Path, *, first: int, count: int) -> None:
        self.path, self.first, self.count = path, first, count

    def number(self, name: str) -> int:
        """The number of `name`, given out on first use.

        :raises SpawnRefused: the range is used up.
        """
        with closing(self._open()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT number FROM users WHERE name = ?", (name,)).fetchone()
            if row is None:
                taken = {number for (number,) in connection.execute("SELECT number FROM users")}
                free = next((n for n in range(self.first, self.first + self.count) if n not in taken), None)
                if free is None:
                    words = f"all {self.count} numeric users from {self.first} on are given out"
                    raise SpawnRefused(f"No notebook can be started: {words}.", code="gpuqueue.users.full", status=500)
                connection.execute("INSERT INTO users VALUES (?, ?)", (name, free))
                row = (free,)
            connection.execute("COMMIT")
            return int(row[0])

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, number INTEGER UNIQUE NOT NULL)")
        return connection


def folder_name(user: str) -> str:
    """A file name for a user's name: one for each, never a path."""
    name = quote(user, safe="@+=").replace("~", "%7E")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > FOLDER_NAME_LIMIT:
        name = name[:100] + "~" + hashlib.sha256(user.encode()).hexdigest()
    return name


def make_homes(homes: Path) -> None:
    """The folder of all folders: everybody may enter, nobody may list it, whatever the Hub's umask says."""
    if not homes.is_dir():
        homes.mkdir(parents=True, exist_ok=True)
        homes.chmod(0o711)


def own_folder(homes: Path, user: str, *, uid: int, gid: int, as_root: bool) -> Path:
    """The folder of `user`, made on first use, readable by nobody else.

    :raises SpawnRefused: something else stands in its place.
    """
    make_homes(homes)
    folder = homes / folder_name(user)
    if not os.path.lexists(folder):
        _make_whole(folder, uid=uid, gid=gid, as_root=as_root)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _wrong_folder(f"{folder} is not a folder.")
    if as_root and found.st_uid != uid:
        raise _wrong_folder(f"{folder} belongs to the numeric user {found.st_uid}, your notebooks run as {uid}.")
    return folder


def _make_whole(folder: Path, *, uid: int, gid: int, as_root: bool) -> None:
    """Put it in its place only once it is its owner's: two servers may start at once, and a Hub may be killed here."""
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))  # mode 0700
    if as_root:
        os.chown(made, uid, gid, follow_symlinks=False)
    try:
        made.rename(folder)
    except OSError:  # somebody was faster, and it is in use already
        made.rmdir()


def _wrong_folder(words: str) -> SpawnRefused:
    return SpawnRefused(f"Your folder cannot be used: {words}", code="gpuqueue.home.wrong", status=500)

"""Makes people's folders in one folder of a share, each its owner's and nobody else's.

Knows the file system. What exists is never changed: a wrong owner is told, not mended. Names are taken relative to an
open folder and links are not followed, so that nobody who can write there leads it elsewhere. Who asks: app.py.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MODE = 0o700
LARGEST = 2**31 - 1  #: uids of Kubernetes
NOBODY = 65534  #: whatever may have no rights has it, so it protects no one
SMALLEST_GROUP = 100  #: Debian's "users"; below are the system's own
NEW = ".new-"  #: begins the name of a folder that is being made; names of people's folders begin with no dot
LONGEST_NAME = 255  #: bytes


class InvalidFolder(Exception):
    """A request that names no folder that could be made; knows field, value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}; allowed is {allowed}")
        self.field, self.value, self.allowed = field, value, allowed


class FolderRefused(Exception):
    """Something is in the way, in words for the folder's owner."""


class ShareAway(Exception):
    """The share itself does not do what it should, in words."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that somebody is to have."""

    name: str
    uid: int
    gid: int


def read_folder(document: object, *, smallest: int) -> Folder:
    """Check what was asked for.

    :param smallest: numeric user that may have a folder; those below are the system's.
    :raises InvalidFolder: it cannot be.
    """
    given = document if isinstance(document, dict) else {}
    name = given.get("folder")
    if not isinstance(name, str) or not _plain(name):
        raise InvalidFolder("folder", name, f"one name of at most {LONGEST_NAME} bytes without /, not begun by a dot")
    for field, least in (("uid", smallest), ("gid", SMALLEST_GROUP)):
        number = given.get(field)
        if type(number) is not int or not least <= number <= LARGEST or number == NOBODY:
            raise InvalidFolder(field, number, f"a number from {least} to {LARGEST}, not {NOBODY}")
    return Folder(name=name, uid=given["uid"], gid=given["gid"])


def _plain(name: str) -> bool:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= LONGEST_NAME and not name.startswith(".") and name.isprintable() and "/" not in name


class Folders:
    """The folders in `root`. One process may serve one root: two would race for who makes a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()

    def look(self) -> None:
        """See whether the share answers.

        :raises ShareAway: it does not.
        """
        with self._opened():
            pass

    def make(self, wanted: Folder) -> bool:
        """See to it that the folder is there and its owner's; whether it was made now.

        :raises FolderRefused: something else is there.
        :raises ShareAway: the share does not let folders be made.
        """
        with self._lock, self._opened() as root:
            if self._is_there(root, wanted):
                return False
            try:
                self._make(root, wanted)
            except OSError as error:
                raise ShareAway(_words(error)) from error
            return True

    def sweep(self) -> None:
        """Remove what an earlier process was killed over: empty, and nobody's yet."""
        with self._lock, self._opened() as root:
            for name in os.listdir(root):
                if name.startswith(NEW):
                    with suppress(OSError):
                        os.rmdir(name, dir_fd=root)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ShareAway(f"the share cannot be entered: {error.strerror}") from error
        try:
            yield root
        finally:
            os.close(root)

    @staticmethod
    def _is_there(root: int, wanted: Folder) -> bool:
        try:
            found = os.stat(wanted.name, dir_fd=root, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ShareAway(f"the share does not answer for it: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise FolderRefused(f"what is called {wanted.name} on the share is not a folder")
        if found.st_uid != wanted.uid:
            raise FolderRefused(f"it belongs to the numeric user {found.st_uid}, the notebook runs as {wanted.uid}")
        return True

    @staticmethod
    def _make(root: int, wanted: Folder) -> None:
        """Put it in its place only once it is its owner's: this may be killed at any line."""
        new = NEW + secrets.token_hex(8)
        os.mkdir(new, MODE, dir_fd=root)
        try:
            made = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
            try:
                os.fchmod(made, MODE)  # the umask is not ours to know; before it is another's
                os.fchown(made, wanted.uid, wanted.gid)
                found = os.fstat(made)
            finally:
                os.close(made)
            if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (wanted.uid, wanted.gid, MODE):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            os.rename(new, wanted.name, src_dir_fd=root, dst_dir_fd=root)
        except OSError:
            with suppress(OSError):
                os.rmdir(new, dir_fd=root)
            raise


def _words(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return "the share does not let its folders be given to their owners (is it exported with no_root_squash?)"
    return f"a folder cannot be made on the share: {error.strerror}"

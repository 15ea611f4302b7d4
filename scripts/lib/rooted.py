"""`rooted.py COMMAND...`: become COMMAND, in a mount namespace whose root is what this process has as its root.

Only in a changed root (chroot) is there anything to do: there whoever joins a container's mounts, as runc and nsenter
do, would come out at the root of the machine around it. Linux; root.
"""

from __future__ import annotations

import ctypes
import os
import sys

NEW_NAMESPACE = 0x20000  # CLONE_NEWNS
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """A function of the C library that returns 0."""
    given = [os.fsencode(each) if isinstance(each, str) else each for each in arguments]
    if getattr(libc, name)(*given):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def take_root() -> None:
    """Make this process's root the root of a mount namespace of its own."""
    os.chdir("/")
    call("unshare", NEW_NAMESPACE)
    here = os.open(".", os.O_RDONLY)
    with open("/proc/self/ns/mnt") as own:
        call("setns", own.fileno(), NEW_NAMESPACE)  # whoever joins a namespace is at its root
    call("mount", None, "/", None, RECURSIVE | PRIVATE, None)
    if os.path.sameopenfile(here, os.open("/", os.O_RDONLY)):
        return
    os.fchdir(here)
    root = os.getcwd()
    call("mount", root, root, None, BIND | RECURSIVE, None)
    os.chdir(root)
    call("pivot_root", ".", ".")  # the old root lies over the new one
    call("umount2", ".", DETACH)
    os.chdir("/")


if __name__ == "__main__":
    folder = os.getcwd()
    take_root()
    os.chdir(folder)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606

"""A cgroup for each job, where this system lets us make one: nothing leaves it, whatever it does to its environment.

Knows the file systems of cgroup v1 and v2. Which process is whose where there are none: processes.py.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import procfs

HIERARCHIES = ("pids", "freezer")  # of v1, the better first: both only count or hold, none limits anything by itself
_NO_LIST = {errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP}  # removed meanwhile; a threaded one, listed a level up
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """Where cgroups are made."""

    root: Path  #: its mount point
    version: int  #: 1 or 2


def hierarchies(mounts: str) -> tuple[Hierarchy, ...]:
    """What /proc/self/mounts lists that can hold our cgroups, the best first: v2, then v1 in the order above."""
    found: dict[str, Hierarchy] = {}
    for line in mounts.splitlines():
        _, path, kind, options, *_ = line.split()
        root = Path(_ESCAPE.sub(lambda octal: chr(int(octal[1], 8)), path))
        if kind == "cgroup2":
            found.setdefault("", Hierarchy(root=root, version=2))
        elif kind == "cgroup":
            for name in set(HIERARCHIES) & set(options.split(",")):
                found.setdefault(name, Hierarchy(root=root, version=1))
    return tuple(found[name] for name in ("", *HIERARCHIES) if name in found)


def usable() -> Hierarchy | None:
    """The best hierarchy in which this process may make cgroups and move processes into them; None: there is none."""
    try:
        mounts = procfs.read("/proc/self/mounts", 1 << 20).decode(errors="replace")
    except OSError:
        return None
    if os.geteuid() != 0:  # joining needs write access at the common root
        return None
    return next((one for one in hierarchies(mounts) if os.access(one.root, os.W_OK)), None)


class CGroups:
    """The cgroups of one installation's jobs, directly under the hierarchy's root.

    Not under the manager's own: a service manager that stops the manager ends all that is below its cgroup.
    """

    def __init__(self, instance: str, hierarchy: Hierarchy | None) -> None:
        self.hierarchy = hierarchy
        self.home = hierarchy.root / f"gpuqueue-{_checked(instance)}" if hierarchy else None

    def _of(self, key: str) -> Path | None:
        return self.home / _checked(key) if self.home else None

    def prepare(self, key: str) -> tuple[str, ...]:
        """Make the job's cgroup; returns the file to join by, nothing where that is not possible."""
        group = self._of(key)
        if group is None:
            return ()
        try:
            with suppress(FileNotFoundError):  # the last other job ended between making home and group
                group.mkdir(parents=True, exist_ok=True)
            group.mkdir(parents=True, exist_ok=True)
        except OSError:  # read-only, a limit on cgroups: the job is found by its other marks
            return ()
        return (str(group / "cgroup.procs"),)

    def join(self, key: str, pid: int) -> bool:
        """Move a process into the job's cgroup, if it has one."""
        group = self._of(key)
        if group is None:
            return False
        try:
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:  # no such cgroup, or the process ended
            return False
        return True

    def release(self, key: str) -> bool:
        """Remove the job's cgroup and those inside it; returns whether it is gone. One with processes stays."""
        group = self._of(key)
        if group is None or self.home is None:
            return True
        for folder in reversed([group, *_below(group)]):
            with suppress(OSError):
                folder.rmdir()
        if group.exists():
            return False
        with suppress(OSError):  # other jobs are in it
            self.home.rmdir()
        return True

    def keys(self) -> tuple[str, ...]:
        """The jobs that have a cgroup."""
        if self.home is None:
            return ()
        return tuple(sorted(folder.name for folder in _folders(self.home)))

    def members(self) -> dict[int, str]:
        """The key of each process that is in one of our cgroups, zombies perhaps among them."""
        found = {}
        for key in self.keys():
            top = self._of(key)
            if top is None:
                continue
            for folder in (top, *_below(top)):
                try:
                    pids = procfs.read(str(folder / "cgroup.procs"), 16 << 20).split()
                except OSError as error:
                    if error.errno in _NO_LIST:
                        continue
                    raise
                found.update(dict.fromkeys(map(int, pids), key))
        return found

    def contains(self, key: str, pid: int) -> bool:
        """Whether the process is in the job's cgroup now, read from the process's side."""
        group = self._of(key)
        if group is None:
            return False
        inside = f"/{group.parent.name}/{group.name}/"  # below what: a container's view of the root may differ
        return any(inside in f"{path}/" for path in procfs.cgroups(pid))

    def kill(self, key: str) -> bool:
        """Let the kernel kill all that is in the job's cgroup, forks under way included (v2, Linux 5.14 and later)."""
        group = self._of(key)
        if group is None or self.hierarchy is None or self.hierarchy.version != 2:
            return False
        try:
            descriptor = os.open(group / "cgroup.kill", os.O_WRONLY)  # never made by us where the kernel has none
        except OSError:
            return False
        try:
            os.write(descriptor, b"1")
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def _folders(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return


def _below(folder: Path) -> Iterator[Path]:
    for child in _folders(folder):
        yield child
        yield from _below(child)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):  # it becomes the name of a folder
        raise ValueError(f"{name!r} cannot name a cgroup; allowed are 1 to 64 letters, digits, - and _")
    return name

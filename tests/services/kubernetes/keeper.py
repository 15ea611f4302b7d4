"""`python -m tests.services.kubernetes.keeper FOLDER`: holds a cluster's first machine, and takes everything away.

Whoever starts it keeps its input open and reads one line: the pid of the machine's first process. When the input
closes, because the tests are done or because they are dead, it ends the machine. Every other machine and program of the
cluster lives in that one's process namespace, so all of them end with it, and their mounts and networks with them. What
the kernel keeps even so, cgroups and files, is removed here. Should the keeper itself be killed, the machine dies too,
and the next cluster sweeps up: see sweep_lost().
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# A killed container's cgroup is busy until its last process is reaped.
CGROUPS_WITHIN_S = 10
UNSEEN = "."


def cgroup(folder: Path, machine: str) -> str:
    """The name of a machine's cgroup, in every hierarchy; no other cluster has it."""
    return f"test-cluster-{folder.name}-{machine}"


def cgroup_roots() -> list[Path]:
    """The hierarchies: one a controller (version 1), or the only one (version 2)."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir()]


def remove_cgroups(prefix: str) -> list[Path]:
    """Remove the cgroups whose names begin so; returns those that are still busy after a while."""
    end = time.monotonic() + CGROUPS_WITHIN_S
    while True:
        left = [path for root in cgroup_roots() for path in root.glob(f"{prefix}*") if path.is_dir()]
        for top in left:
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        left = [path for path in left if path.exists()]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def new_folder(runs: Path) -> tuple[Path, int]:
    """A cluster's folder, and its lock, held, which the keeper is to inherit: as long as it is held, nobody sweeps."""
    runs.mkdir(parents=True, exist_ok=True)
    unseen = Path(tempfile.mkdtemp(dir=runs, prefix=UNSEEN))
    lock = os.open(unseen / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = unseen.rename(runs / unseen.name.removeprefix(UNSEEN))
    return folder, lock


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Whether nobody holds this cluster's folder; it is ours inside."""
    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def sweep(folder: Path) -> None:
    """Remove what the kernel keeps of a cluster whose processes are gone."""
    remove_cgroups(cgroup(folder, ""))
    shutil.rmtree(folder, ignore_errors=True)


def sweep_lost(runs: Path) -> None:
    """Remove what is left of clusters whose keeper was killed too."""
    for folder in runs.iterdir() if runs.is_dir() else ():
        if folder.name.startswith(UNSEEN):  # one that is being made; there is nothing of it yet
            continue
        with contextlib.suppress(FileNotFoundError), _claimed(folder) as ours:
            if ours:
                sweep(folder)


def _hold(folder: Path) -> None:
    machine = subprocess.Popen(
        # Dies with the keeper; --kill-child: and its first process, with every process of the namespace, with it.
        ["setpriv", "--pdeathsig=KILL", *NAMESPACES, sys.executable, "-m", FIRST_PROCESS, str(folder / "head")],
        stdin=subprocess.DEVNULL,
    )
    try:
        print(first_process(machine.pid), flush=True)
        sys.stdin.read()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first_process(machine.pid), signal.SIGKILL)
        machine.wait()  # its first process is reaped only after every other process of the namespace


FIRST_PROCESS = "tests.services.kubernetes.machine"
NAMESPACES = ["unshare", "--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child=KILL"]


def first_process(launcher: int) -> int:
    """The pid, in our own process namespace, of what unshare forked."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError, IndexError):
            return int(children.read_text().split()[0])
        time.sleep(0.005)
    raise ProcessLookupError(f"process {launcher} has no child")


def main() -> None:
    """Hold the cluster in this folder until the input ends."""
    folder = Path(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        _hold(folder)
    finally:
        sweep(folder)


if __name__ == "__main__":
    main()

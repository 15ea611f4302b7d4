"""`python -m tests.services.kubernetes.machine FOLDER`: the first process of one machine's namespaces.

It makes the machine's own view of the file system, says so by making FOLDER/ready, and then only reaps. To kill it is
to pull the plug. Which machines there are: cluster.py; how programs get into one: namespaces.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def mount(*arguments: object) -> None:
    """mount(8)."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def own_cgroups(folder: Path) -> None:
    """A sysfs of this network, with the cgroups kept."""
    aside = folder / "cgroups"
    aside.mkdir(exist_ok=True)
    mount("--rbind", "/sys/fs/cgroup", aside)
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("--rbind", aside, "/sys/fs/cgroup")
    subprocess.run(["umount", "--lazy", aside], check=True)


def own_folders(folder: Path, names: list[str]) -> None:
    """What the machine writes there lies in its folder; it reads what is there besides."""
    for name in names:
        upper, work = folder / "root" / name, folder / "work" / name
        upper.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        mount("-t", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", "overlay", f"/{name}")


def own_disks(folder: Path, names: list[str]) -> None:
    """Folders without an overlay: containerd's own overlays cannot lie on one."""
    for name in names:
        disk = folder / "disk" / name
        disk.mkdir(parents=True, exist_ok=True)
        Path("/", name).mkdir(parents=True, exist_ok=True)
        mount("--bind", disk, f"/{name}")


def feigned_settings(folder: Path, settings: dict[str, str]) -> None:
    """Files over kernel settings: a kubelet finds them as it wants them, and leaves the whole machine's as they are."""
    feigned = folder / "settings"
    feigned.mkdir(exist_ok=True)
    for name, value in settings.items():
        (feigned / name).write_text(f"{value}\n")
        mount("--bind", feigned / name, Path("/proc/sys", *name.split(".")))


def main() -> None:
    """Become the machine that FOLDER/machine.json describes."""
    folder = Path(sys.argv[1])
    signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGCHLD]
    )  # for sigwait below; programs that join are not our children
    wanted = json.loads((folder / "machine.json").read_text())
    socket.sethostname(wanted["name"])
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    if wanted["disks"]:
        own_cgroups(folder)
    own_folders(folder, wanted["folders"])
    own_disks(folder, wanted["disks"])
    feigned_settings(folder, wanted["feigned"])
    mount("-t", "tmpfs", "tmpfs", "/run")
    for name in ("lock", "netns", "tmp", "ganesha"):
        Path("/run", name).mkdir()
    for over in wanted["programs"]:  # where others look for them by a fixed path, as mount(8) does for its helpers
        mount("-t", "overlay", "-o", f"lowerdir={over}:/usr/sbin", "overlay", "/usr/sbin")
    mount("--make-rshared", "/")
    for name, value in wanted["network"].items():
        Path("/proc/sys/net", *name.split(".")).write_text(value)
    (folder / "ready").touch()

    while True:
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        signal.sigwait([signal.SIGCHLD])


if __name__ == "__main__":
    main()

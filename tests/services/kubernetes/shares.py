"""The NFS server of a cluster: nfs-ganesha in the head machine, its files in a folder of ours.

Kernels without NFS mount it through mount_nfs.c (FUSE, version 3), which the nodes have as their mount.nfs.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from tests.services.program import until

from .control import ADDRESS
from .namespaces import Machine

EXPORT = "/export"
START_S = 20


class Share:
    """One exported folder. `path` is where its files are, `server` and `EXPORT` what a volume names."""

    server = ADDRESS
    export = EXPORT

    def __init__(self, head: Machine) -> None:
        self._head = head
        self.path = head.folder / "share"
        self.path.mkdir()
        self.path.chmod(0o1777)
        recovery = head.folder / "ganesha"
        recovery.mkdir()
        configuration = head.folder / "ganesha.conf"
        configuration.write_text(_configuration(self.path, recovery))
        # Version 3 is found through rpcbind. It has a socket of its own in the head's /run.
        self.rpcbind = head.program("rpcbind", "rpcbind", "-f", "-h", ADDRESS)
        self._log = head.folder / "ganesha.log"
        self.program = head.program(
            "nfs", "ganesha.nfsd", "-F", "-f", configuration, "-L", self._log, "-p", recovery / "pid"
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._head.run("ln", "-sf", "/proc/self/mounts", "/etc/mtab")  # it looks there; the smallest Debian has none
        self.rpcbind.start()
        until(lambda: _listens(111), within=START_S, what="rpcbind listens", story=self.rpcbind.tail)
        self.program.start()
        until(lambda: _listens(2049), within=START_S, what="the NFS server listens", story=self._story)

    def _story(self) -> str:
        return f"{self.program.tail()}\n{self._log.read_text() if self._log.exists() else ''}"

    def mend(self) -> None:
        """Let it run, whatever was done to it."""
        self.rpcbind.mend()
        self.program.mend()
        until(lambda: _listens(2049), within=START_S, what="the NFS server listens", story=self._story)

    def folder(self, name: str, *, uid: int = 0, mode: int = 0o755) -> Path:
        """Make a folder on it, as an admin would; returns where it is here."""
        folder = self.path / name
        folder.mkdir(parents=True)
        folder.chmod(mode)
        os.chown(folder, uid, uid)
        return folder


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((ADDRESS, port), timeout=1):
        return True
    return False


def _configuration(path: Path, recovery: Path) -> str:
    return f"""
NFS_CORE_PARAM {{
  Protocols = 3,4; Mount_Path_Pseudo = true; NFS_Port = 2049; MNT_Port = 20048; Bind_addr = {ADDRESS};
  Enable_NLM = false; Enable_RQUOTA = false;
}}
NFSv4 {{ Graceless = true; RecoveryRoot = "{recovery}"; Only_Numeric_Owners = true; }}
EXPORT {{
  Export_Id = 1; Path = "{path}"; Pseudo = "{EXPORT}"; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
  Protocols = 3,4; Transports = TCP; FSAL {{ Name = VFS; }}
}}
"""

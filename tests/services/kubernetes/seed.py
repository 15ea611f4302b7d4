"""The images as containerd keeps them, unpacked once and then planted into every node in a moment.

A node's containerd gets its own copy of the two databases, and links to layers and manifests that it only reads: an
image of a gigabyte takes no time and no space on a node. Who builds the images: images.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.services.program import Program, until

from .namespaces import run

SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs"
CONTENT = "io.containerd.content.v1.content/blobs/sha256"
DATABASES = ("io.containerd.metadata.v1.bolt/meta.db", f"{SNAPSHOTS}/metadata.db")
START_S = 30
STOP_S = 60
KEPT_S = 7 * 86400  #: an image that no run has asked for in so long goes when another one comes


class Seed:
    """A folder that looks like /var/lib/containerd."""

    def __init__(self, folder: Path, *, pause: str) -> None:
        self.folder = folder
        self.pause = pause  #: the image that holds a pod's namespaces
        self._marks = folder / "references"
        self._marks.mkdir(parents=True, exist_ok=True)

    def has(self, reference: str) -> bool:
        """Whether an image is in it; asked for, it stays for another while."""
        mark = self._mark(reference)
        if mark.exists():
            mark.touch()
            return True
        return False

    def load(self, archives: dict[str, Path]) -> list[str]:
        """Unpack images, by reference; layers that are there already are not unpacked again.

        Returns those that went because nobody has asked for them in a long time.
        """
        with self._locked(fcntl.LOCK_EX), tempfile.TemporaryDirectory(prefix="gpuqueue-containerd-") as state:
            with _containerd(self.folder, Path(state)) as ctr:
                for archive in archives.values():
                    run(*ctr, "images", "import", archive)
                old = [mark for mark in self._marks.iterdir() if mark.stat().st_mtime < time.time() - KEPT_S]
                forgotten = [mark.read_text() for mark in old]
                for reference in forgotten:
                    run(*ctr, "images", "rm", "--sync", reference)
            for reference in archives:  # written once containerd has ended well: databases and files agree
                self._mark(reference).write_text(reference)
            for mark in old:
                mark.unlink()
        return forgotten

    def plant(self, disk: Path) -> None:
        """Make a node's folder from it."""
        disk.mkdir(parents=True)
        with self._locked(fcntl.LOCK_SH):
            for database in DATABASES:
                (disk / database).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / database, disk / database)
            for folder in (f"{SNAPSHOTS}/snapshots", CONTENT):
                (disk / folder).mkdir(parents=True, exist_ok=True)
                for entry in (self.folder / folder).iterdir():
                    (disk / folder / entry.name).symlink_to(entry)

    def _mark(self, reference: str) -> Path:
        return self._marks / reference.replace("/", "_")

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        with open(self.folder / "lock", "a") as lock:
            fcntl.flock(lock, how)
            yield


@contextlib.contextmanager
def _containerd(root: Path, state: Path) -> Iterator[list[str]]:
    """A containerd on the seed, without networks or containers; yields the command that talks to it."""
    socket = state / "sock"
    configuration = state / "config.toml"
    configuration.write_text(f"""
version = 2
root = "{root}"
state = "{state / "state"}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
""")
    # Its mounts for unpacking are its own, and gone with it; and it goes with us.
    alone = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount"]
    daemon = Program(
        "containerd", [*alone, "containerd", f"--config={configuration}"], state / "log", env={"TMPDIR": str(state)}
    )
    daemon.start()
    try:
        until(socket.exists, within=START_S, what="containerd answers", story=daemon.tail, every=0.05)
        yield ["ctr", "--address", str(socket), "--namespace", "k8s.io"]
    finally:
        daemon.stop(within=STOP_S)

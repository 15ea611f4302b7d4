"""A cluster leaves nothing: no process, mount, cgroup or file, however the tests ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.services.kubernetes import keeper
from tests.services.kubernetes.namespaces import TREE, own_python
from tests.services.program import until

# Not where the tests use a cluster that exists: nothing of ours is installed there.
pytestmark = pytest.mark.usefixtures("own_cluster")

MACHINES = """
import sys, time, pathlib
from tests.services.kubernetes import keeper, namespaces, nodes
folder, lock = keeper.new_folder(pathlib.Path(sys.argv[1]))
with namespaces.head(folder, lock, namespaces.Shape()) as head:
    shape = namespaces.Shape(folders=("etc",), disks=("var/lib/kubelet",))
    other = namespaces.another(head, "other", folder / "other", shape)
    nodes.make_cgroups(keeper.cgroup(folder, "other"))
    sleeper = other.program("sleeper", "sleep", "1000")
    sleeper.start()
    sleeper.pause()
    print(folder, flush=True)
    time.sleep(1000)
"""
CLUSTER = """
import time
from tests.services.kubernetes.cluster import cluster
from tests.services.kubernetes.images import images
with cluster(images(), images().provide(), {"lone": 1}) as it:
    print(it.folder, flush=True)
    time.sleep(1000)
"""


class Run:
    """A process of tests that has something up."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=TREE,
            env={**os.environ, **own_python()},
        )
        assert self.process.stdout
        self.folder = Path(self.process.stdout.readline().strip())
        assert self.folder.is_dir(), "it did not come up"

    @property
    def keeper(self) -> psutil.Process:
        """Who takes it away."""
        return next(
            child for child in psutil.Process(self.process.pid).children() if "keeper" in " ".join(child.cmdline())
        )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def traces(self) -> Sequence[object]:
        """What is left of it."""
        return [*self.processes(), *self.mounts(), *self.cgroups(), *([self.folder] if self.folder.exists() else [])]

    def processes(self) -> list[str]:
        """Programs with its folder in their command line."""
        lines = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
        return [line for line in lines if str(self.folder) in line]

    def mounts(self) -> list[str]:
        """Mounts of this machine that lead into its folder."""
        return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(self.folder) in line]

    def cgroups(self) -> list[Path]:
        """Its machines' cgroups."""
        name = keeper.cgroup(self.folder, "*")
        return [path for root in keeper.cgroup_roots() for path in root.glob(name)]


def test_a_killed_test_run_leaves_no_cluster(tmp_path: Path):
    settings = {
        name: Path("/proc/sys", *name.split(".")).read_text() for name in ("vm.overcommit_memory", "kernel.panic")
    }
    run = Run(CLUSTER)
    assert run.processes()
    assert run.cgroups()

    run.kill()

    until(lambda: not run.traces(), within=30, what="nothing is left", story=lambda: "\n".join(map(str, run.traces())))
    assert {name: Path("/proc/sys", *name.split(".")).read_text() for name in settings} == settings


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_run_sweeps_up_when_the_keeper_was_killed_too(number: signal.Signals, tmp_path: Path):
    run = Run(MACHINES, str(tmp_path))
    assert run.cgroups()

    run.keeper.send_signal(number)
    run.kill()
    until(lambda: not run.processes(), within=10, what="every process has ended", story=lambda: str(run.processes()))
    keeper.sweep_lost(tmp_path)

    assert not run.traces()


def test_a_run_that_goes_on_is_not_swept_up(tmp_path: Path):
    run = Run(MACHINES, str(tmp_path))

    keeper.sweep_lost(tmp_path)

    assert run.processes()
    assert run.folder.exists()
    run.kill()
    until(lambda: not run.traces(), within=10, what="nothing is left", story=lambda: "\n".join(map(str, run.traces())))

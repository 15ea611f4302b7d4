"""A cgroup for each job: on this machine's own hierarchies where it has them, and on a folder that looks alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gpuqueue_spawner.capacity.cgroups import CGroups, Hierarchy, hierarchies

from .conftest import Installation, eventually

UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0"
HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


class TestHierarchies:
    """Where cgroups can be made."""

    @pytest.mark.parametrize(
        ("mounts", "found"),
        [
            (UNIFIED, [("/sys/fs/cgroup", 2)]),
            (HYBRID, [("/sys/fs/cgroup/unified", 2), ("/sys/fs/cgroup/pids", 1), ("/sys/fs/cgroup/freezer", 1)]),
            ("cgroup /a\\040b cgroup rw,freezer 0 0", [("/a b", 1)]),
            ("cgroup /c cgroup rw,cpu 0 0\nproc /proc proc rw 0 0", []),
            ("", []),
        ],
    )
    def test_the_best_comes_first(self, mounts: str, found: list[tuple[str, int]]) -> None:
        """Version 2 can kill a whole cgroup at once; of version 1 only hierarchies that limit nothing are used."""
        assert [(str(one.root), one.version) for one in hierarchies(mounts)] == found


class TestLookAlike:
    """Version 2 on plain folders: what is written where."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> CGroups:
        """Cgroups of an installation `inst` under a folder of the test."""
        return CGroups("inst", Hierarchy(root=tmp_path, version=2))

    def test_a_job_gets_a_folder_and_gives_it_back(self, folder: CGroups, tmp_path: Path) -> None:
        """Preparing twice is harmless; nothing is left when the last job is released."""
        expected = (str(tmp_path / "gpuqueue-inst" / "k1" / "cgroup.procs"),)

        assert folder.prepare("k1") == folder.prepare("k1") == expected
        assert folder.keys() == ("k1",)
        assert folder.release("k1")
        assert folder.release("k1")
        assert list(tmp_path.iterdir()) == []

    def test_members_of_inner_cgroups_are_the_jobs(self, folder: CGroups, tmp_path: Path) -> None:
        """A job may make cgroups inside its own."""
        inner = tmp_path / "gpuqueue-inst" / "k1" / "a" / "b"
        inner.mkdir(parents=True)
        (inner / "cgroup.procs").write_text("12\n13\n")
        (tmp_path / "gpuqueue-inst" / "k1" / "cgroup.procs").write_text("11\n")

        assert folder.members() == {11: "k1", 12: "k1", 13: "k1"}

    def test_the_kernel_is_asked_to_kill(self, folder: CGroups, tmp_path: Path) -> None:
        """One write kills all; a kernel without that file is not given one."""
        folder.prepare("k1")
        kill = tmp_path / "gpuqueue-inst" / "k1" / "cgroup.kill"

        assert not folder.kill("k1")
        assert not kill.exists()

        kill.write_text("")
        assert folder.kill("k1")
        assert kill.read_text() == "1"

    def test_where_no_cgroup_can_be_made_there_is_none(self, tmp_path: Path) -> None:
        """A system that refuses is no reason to refuse a job: its processes are found in other ways."""
        (tmp_path / "gpuqueue-inst").write_text("in the way")
        folder = CGroups("inst", Hierarchy(root=tmp_path, version=2))

        assert folder.prepare("k1") == ()
        assert not folder.join("k1", 1)

    @pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "k" * 65])
    def test_a_key_that_is_no_name_is_refused(self, folder: CGroups, name: str) -> None:
        """A key becomes a folder's name, and never a way out of its parent."""
        with pytest.raises(ValueError, match="letters, digits"):
            folder.prepare(name)

    def test_without_a_hierarchy_everything_answers_nothing(self) -> None:
        """A system without cgroups."""
        none = CGroups("inst", None)

        assert none.prepare("k1") == none.keys() == ()
        assert none.members() == {}
        assert none.release("k1")
        assert [none.kill("k1"), none.join("k1", 1), none.contains("k1", 1)] == [False] * 3


@pytest.mark.parametrize("kind", ["cgroup1", "cgroup2"])
class TestReal:
    """On this machine's own cgroups; only root makes them."""

    def test_a_cgroup_with_processes_stays_and_an_empty_one_goes(
        self, another: Callable[..., Installation], kind: str
    ) -> None:
        """Releasing too early loses nobody."""
        machine = another(kind)
        program = machine.launch("k1", "read line")
        eventually(lambda: machine.cgroups.members() == {program.pid: "k1"})

        assert not machine.cgroups.release("k1")
        assert machine.cgroups.keys() == ("k1",)

        program.communicate("go\n")
        assert eventually(lambda: machine.cgroups.release("k1"))

    def test_a_job_keeps_what_it_put_into_inner_cgroups(self, another: Callable[..., Installation], kind: str) -> None:
        """Inner cgroups are looked into, and removed with the job's own."""
        machine = another(kind)
        (procs,) = machine.cgroups.prepare("k1")
        inner = Path(procs).parent / "inner"
        inner.mkdir()
        program = machine.run("read line")
        (inner / "cgroup.procs").write_text(str(program.pid))

        assert [one.pid for one in machine.found("k1")] == [program.pid]
        assert machine.cgroups.contains("k1", program.pid)

        program.communicate("go\n")
        assert eventually(lambda: machine.cgroups.release("k1"))


def test_all_in_a_cgroup_is_killed_at_once(another: Callable[..., Installation]) -> None:
    """Version 2 has the kernel kill, forks under way included."""
    machine = another("cgroup2")
    machine.launch("k1", "trap '' TERM; env -i setsid -f SLEEP; SLEEP; exit")
    eventually(lambda: len(machine.found("k1")) == 3)

    if not machine.cgroups.kill("k1"):
        pytest.skip("this kernel is older than 5.14")

    eventually(lambda: not machine.remains())

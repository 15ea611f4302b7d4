"""Which process belongs to which job, with real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.capacity import Mark, procfs
from gpuqueue_spawner.capacity.processes import parse_sign

from .conftest import Installation, eventually, tell

NO_MARKS = [
    "",
    "/",
    "inst",
    "inst/k",
    "inst/k/",
    "inst//1",
    "inst/../1",
    "inst/k/x",
    "inst/k/-1",
    "inst/k/1\n",
    "inst/k/1/2",
    "inst/k/1234567890",
    "inst/k/\u0661",  # a digit, though none of ours
    "inst/" + "k" * 65 + "/1",
    "other/k/1",
]


def test_a_launched_program_and_its_child_are_the_jobs(machine: Installation) -> None:
    """A job's processes are all that came out of its launch, the oldest first, named by pid and start time."""
    program = machine.launch("k1", "SLEEP; exit", launch=3, gpus="GPU-a,GPU-b")

    eventually(lambda: "sleep" in machine.commands("k1"))

    first = machine.found("k1")[0]
    assert first.pid == program.pid
    assert first.uid == os.getuid()
    assert machine.table.census().marked == {"k1": Mark(launch=3, devices=("GPU-a", "GPU-b"))}


@pytest.mark.parametrize(
    "way",
    [
        "setsid SLEEP & exit",
        "setsid -f SLEEP",
        "nohup SLEEP > /dev/null 2>&1 & exit",
        "( ( setsid SLEEP & ) & ) & exit",
        "( trap '' HUP; SLEEP ) & exit",
    ],
)
def test_a_child_that_outlives_its_program_is_still_the_jobs(machine: Installation, way: str) -> None:
    """Gone means: no process of the job is left, and a kernel or a setsid child is one."""
    program = machine.launch("k1", way)

    program.wait()

    eventually(lambda: machine.commands("k1") == {"sleep"})


def test_a_child_without_environment_is_found_by_its_parent(machine: Installation) -> None:
    """What a job starts is the job's, marked or not."""
    machine.launch("k1", "env -i SLEEP; exit")

    eventually(lambda: machine.commands("k1") == {"sh", "sleep"})


def test_a_child_without_environment_stays_known_after_its_parent(machine: Installation) -> None:
    """What was once seen as a job's stays its for life."""
    program = machine.launch("k1", "env -i setsid SLEEP; exit")
    eventually(lambda: "sleep" in machine.commands("k1"))

    program.kill()
    program.wait()

    assert machine.commands("k1") == {"sleep"}


def test_a_child_never_seen_before_is_found_by_its_session(machine: Installation) -> None:
    """A child whose parents all ended is found by the session whose leader was the job's."""
    program = machine.launch("k1", "read line; (env -i SLEEP &); exit")
    eventually(lambda: machine.found("k1"))

    tell(program, "go")
    program.wait()
    eventually(lambda: [procfs.stat(pid).command for pid in machine.remains()] == ["sleep"])  # type: ignore[union-attr]

    eventually(lambda: machine.commands("k1") == {"sleep"})


@pytest.mark.parametrize("kind", ["cgroup1", "cgroup2"])
def test_a_child_that_hides_in_every_way_is_found_by_its_cgroup(
    another: Callable[..., Installation], kind: str
) -> None:
    """With cgroups nothing escapes: no environment, a session of its own, no parent, never seen before."""
    machine = another(kind)

    machine.launch("k1", "env -i setsid -f SLEEP").wait()

    eventually(lambda: machine.commands("k1") == {"sleep"})


def test_a_program_is_known_from_the_moment_it_executes(plain: Installation) -> None:
    """Between fork and exec a child has its parent's environment, and often its name: exec is what makes it a job's."""
    mark = f"GPUQUEUE_JOB={plain.instance}/k1/1"
    program = plain.run(f"read line; exec env {mark} sh -c 'read line' $0")
    plain.table.census()
    assert not plain.found("k1")

    tell(program, "go")

    eventually(lambda: plain.commands("k1") == {"sh"})


def test_an_environment_is_read_once_for_each_program(plain: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at a thousand processes stays cheap: it reads one line of each."""
    plain.launch("k1", "SLEEP; exit")
    eventually(lambda: "sleep" in plain.commands("k1"))
    known, read = {process.pid for process in plain.found("k1")}, []
    monkeypatch.setattr(procfs, "environ", lambda process: read.append(process.pid) or b"")

    plain.table.census()

    assert len(known) == 2
    assert not known & set(read)


def test_a_program_that_was_never_launched_is_nobodys(machine: Installation) -> None:
    """A stranger's process is not taken for a job's."""
    program = machine.run("SLEEP; exit")
    eventually(lambda: machine.remains())

    assert program.pid not in machine.table.census().owners


def test_two_installations_do_not_see_each_others_jobs(another: Callable[..., Installation]) -> None:
    """The random id of an installation keeps two on one machine apart, whatever their job keys."""
    ours, theirs = another("marks"), another("marks")
    program, other = ours.launch("k1", "SLEEP; exit"), theirs.launch("k1", "SLEEP; exit")
    eventually(lambda: len(ours.found("k1")) == len(theirs.found("k1")) == 2)

    assert program.pid in {process.pid for process in ours.found("k1")}
    assert other.pid not in {process.pid for process in ours.found("k1")}


def test_a_mark_that_a_job_writes_itself_changes_nothing(machine: Installation) -> None:
    """A child with another job's mark belongs to the job that started it."""
    machine.launch("k1", f"GPUQUEUE_JOB={machine.instance}/k2/1 SLEEP; exit")

    eventually(lambda: machine.commands("k1") == {"sh", "sleep"})

    assert not machine.found("k2")


def test_a_zombie_does_not_count(plain: Installation) -> None:
    """A process that ended and was not waited for holds nothing."""
    program = plain.launch("k1", "exit")

    eventually(lambda: (found := procfs.stat(program.pid)) and found.state == "Z")

    assert not plain.found("k1")


def test_a_program_whose_first_thread_ended_counts(plain: Installation) -> None:
    """It looks like a zombie and still runs, and its environment is found with its threads."""
    code = "import ctypes,threading,time; threading.Thread(target=time.sleep,args=(1000,)).start(); "
    code += "ctypes.CDLL(None).pthread_exit(None)"
    program = plain.launch("k1", f'exec {sys.executable} -c "{code}" $0')
    eventually(lambda: (found := procfs.stat(program.pid)) and found.state == "Z" and found.threads > 1)

    fresh = Installation.__new__(Installation)
    fresh.__dict__.update(plain.__dict__)
    fresh.table = type(plain.table)(plain.instance, plain.cgroups)

    assert [process.pid for process in fresh.found("k1")] == [program.pid]


class TestAdopting:
    """What the manager tells: which process claimed a launch."""

    def test_a_claim_is_believed_when_the_process_carries_the_launch(self, machine: Installation) -> None:
        """A claimed process is the job's, and moves into the job's cgroup if it had not."""
        machine.cgroups.prepare("k1")
        program = machine.run("echo; read line", environment={"GPUQUEUE_JOB": f"{machine.instance}/k1/2"})
        program.stdout.readline()  # type: ignore[union-attr]

        adopted = machine.table.adopt("k1", program.pid, _started(program.pid), 2, ())

        assert adopted
        assert machine.cgroups.contains("k1", program.pid) is (machine.cgroups.home is not None)

    @pytest.mark.parametrize("mark", ["{}/k1/1", "{}/k2/2", "other/k1/2", ""])
    def test_a_claim_for_another_process_is_refused(self, plain: Installation, mark: str) -> None:
        """Nobody can have somebody else's process taken for a job's, and ended with it."""
        program = plain.run("echo; read line", environment={"GPUQUEUE_JOB": mark.format(plain.instance)})
        program.stdout.readline()  # type: ignore[union-attr]

        assert not plain.table.adopt("k1", program.pid, _started(program.pid), 2, ())

    def test_a_pid_that_was_given_out_again_is_refused(self, plain: Installation) -> None:
        """After a restart the database may name a pid that is somebody else's by now; the start time tells."""
        program = plain.run("read line")

        assert not plain.table.adopt("k1", program.pid, _started(program.pid) - 1, None, ())
        assert not plain.found("k1")

    def test_after_a_restart_the_database_tells_whose_it_is(self, plain: Installation) -> None:
        """A process that carries no mark any more is the job's by its pid and start time, and so is its child."""
        program = plain.run("read line; exit")

        assert plain.table.adopt("k1", program.pid, _started(program.pid), None, ("GPU-a",))

        assert [process.pid for process in plain.found("k1")] == [program.pid]
        assert plain.table.census().given == {"k1": ("GPU-a",)}

    def test_a_process_that_ended_is_refused(self, plain: Installation) -> None:
        """A zombie can claim nothing."""
        program = plain.launch("k1", "exit")
        eventually(lambda: (found := procfs.stat(program.pid)) and found.state == "Z")

        assert not plain.table.adopt("k1", program.pid, _started(program.pid), 1, ())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_an_environment_that_may_not_be_read_is_passed_over(plain: Installation) -> None:
    """Not root, the processes of others are nobody's job, and a look does not fail on them."""
    plain.launch("k1", "SLEEP; exit")
    eventually(lambda: "sleep" in plain.commands("k1"))
    code = (
        "import json, os, sys\n"
        "from gpuqueue_spawner.capacity.cgroups import CGroups, usable\n"
        "from gpuqueue_spawner.capacity.processes import ProcessTable\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "census = ProcessTable(sys.argv[1], CGroups(sys.argv[1], usable())).census()\n"
        "print(json.dumps([len(census.stats), sorted(census.jobs)]))\n"
    )

    told = subprocess.run([sys.executable, "-c", code, plain.instance], capture_output=True, text=True, check=True)

    seen, jobs = json.loads(told.stdout)
    assert seen > 1
    assert jobs == []


class TestMarks:
    """What stands in an environment."""

    def test_the_mark_is_read(self) -> None:
        """Installation, job, launch, and the GPUs by name."""
        sign = parse_sign(b"A=b\0GPUQUEUE_JOB=inst/k-1/7\0GPUQUEUE_GPUS=GPU-a,GPU-b\0", "inst")

        assert sign is not None
        assert (sign.key, sign.mark) == ("k-1", Mark(launch=7, devices=("GPU-a", "GPU-b")))

    @pytest.mark.parametrize("value", NO_MARKS)
    def test_anything_else_is_no_mark(self, value: str) -> None:
        """A mark is exact, as its parts become names of folders and rows."""
        assert parse_sign(f"GPUQUEUE_JOB={value}\0".encode(), "inst") is None

    @given(st.binary())
    def test_no_environment_breaks_the_reader(self, environ: bytes) -> None:
        """Users write environments, bytes of any kind."""
        assert parse_sign(environ, "inst") is None


def _started(pid: int) -> int:
    found = procfs.stat(pid)
    assert found is not None
    return found.started

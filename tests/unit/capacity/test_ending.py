"""Ending every process of a job, whatever it does against it, and none that is not its own."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable

import pytest

from gpuqueue_spawner.capacity import CapacityUnavailable, Process, ending, procfs

from .conftest import Installation, eventually, said

STUBBORN = "trap '' TERM; while :; do SLEEP; done"
# Each of 300 in a row starts the next and ends: never the same pid twice, none with a parent that lives.
RUNNER = 'n=$1; [ $n -gt 0 ] && { setsid sh -c "$2" "$0" $((n-1)) "$2" & }; sleep 0.01; exit'
# One that starts 300 as fast as it can, each of which hides at once: whoever is not seen before it is killed, stays.
SPAWNER = "trap '' TERM; i=0; while [ $i -lt 300 ]; do i=$((i+1)); env -i setsid SLEEP & done; SLEEP; exit"
# A tree of 63, none of which listens, each starting a new child whenever one of its own is ended.
BUSH = (
    'trap "" TERM; n=$1; i=0; while [ $i -lt 60 ]; do i=$((i+1)); '
    '[ $n -gt 0 ] && { sh -c "$2" "$0" $((n-1)) "$2" & sh -c "$2" "$0" $((n-1)) "$2" & }; SLEEP; wait; done'
)


def test_a_job_without_processes_is_ended_at_once(machine: Installation) -> None:
    """Nothing to do is done: ending twice is harmless."""
    assert ending.end(machine.table, "k1", grace=60)


def test_a_program_that_listens_ends_by_itself_in_its_time(machine: Installation) -> None:
    """SIGTERM first: a program may save what it has before the grace is over."""
    program = machine.launch("k1", "trap 'sleep 0.3; echo saved; exit' TERM; echo; while :; do sleep 0.05; done")
    assert program.stdout is not None
    program.stdout.readline()

    assert ending.end(machine.table, "k1", grace=20)

    assert said(program) == "saved\n"


def test_every_process_is_asked_also_one_born_while_waiting(machine: Installation) -> None:
    """A child of the last moment is asked too, and need not be killed."""
    child = "echo born; trap 'echo asked; exit' TERM; while :; do sleep 0.05; done"
    program = machine.launch("k1", "trap 'sh -c \"$1\" $0; exit' TERM; echo; while :; do sleep 0.05; done", child)
    assert program.stdout is not None
    program.stdout.readline()

    assert ending.end(machine.table, "k1", grace=20)

    assert said(program) == "born\nasked\n"


def test_a_program_that_ignores_the_request_is_killed_after_its_grace(machine: Installation) -> None:
    """Not before, and all of it."""
    machine.launch("k1", STUBBORN)
    eventually(lambda: "sleep" in machine.commands("k1"))
    begun = time.monotonic()

    assert ending.end(machine.table, "k1", grace=0.5)

    assert time.monotonic() - begun >= 0.5
    assert not machine.remains()


def test_a_stopped_program_is_woken_to_end_by_itself(machine: Installation) -> None:
    """A program that was stopped (Ctrl-Z) gets to act on the request."""
    program = machine.launch("k1", "trap 'echo saved; exit' TERM; echo; while :; do sleep 0.05; done")
    assert program.stdout is not None
    program.stdout.readline()
    program.send_signal(signal.SIGSTOP)
    eventually(lambda: (stat := procfs.stat(program.pid)) is not None and stat.stopped)

    assert ending.end(machine.table, "k1", grace=20)

    assert said(program) == "saved\n"


def test_children_that_outlived_the_program_end_with_the_job(machine: Installation) -> None:
    """A kernel, a nohup or setsid child: all that was ever seen as the job's, without environments too."""
    program = machine.launch("k1", "nohup SLEEP > /dev/null 2>&1 & setsid SLEEP & env -i setsid SLEEP & wait")
    eventually(lambda: len([one for one in machine.found("k1") if one.command == "sleep"]) == 3)
    program.kill()

    assert ending.end(machine.table, "k1", grace=5)

    assert not machine.remains()


@pytest.mark.parametrize(
    ("bomb", "size"), [(RUNNER, "300"), (BUSH, "5"), (SPAWNER, "")], ids=["runner", "bush", "spawner"]
)
def test_a_program_that_forks_faster_than_it_is_killed_is_ended(machine: Installation, bomb: str, size: str) -> None:
    """A fork bomb ends too: all of it is stopped before any of it is killed."""
    bomb = bomb.replace("SLEEP", f"sleep 1000.{machine.token}")
    machine.launch("k1", bomb, size, bomb)
    eventually(lambda: machine.found("k1") and time.sleep(0.1) is None)

    assert ending.end(machine.table, "k1", grace=0)

    assert not machine.remains()


def test_another_job_and_a_stranger_live_on(machine: Installation) -> None:
    """What is not of the job is never signalled."""
    machine.launch("k1", STUBBORN)
    spared = [machine.launch("k2", "SLEEP; exit"), machine.run("SLEEP; exit")]
    eventually(lambda: "sleep" in machine.commands("k1") & machine.commands("k2"))

    assert ending.end(machine.table, "k1", grace=0)

    assert [program.poll() for program in spared] == [None, None]


def test_another_installations_job_of_the_same_key_lives_on(another: Callable[..., Installation]) -> None:
    """Two queues on one machine do not touch each other's jobs."""
    ours, theirs = another("marks"), another("marks")
    ours.launch("k1", "SLEEP; exit")
    program = theirs.launch("k1", "SLEEP; exit")
    eventually(lambda: "sleep" in ours.commands("k1") & theirs.commands("k1"))

    assert ending.end(ours.table, "k1", grace=1)

    assert program.poll() is None
    assert theirs.commands("k1") == {"sh", "sleep"}


def test_a_process_that_took_over_a_pid_is_not_signalled(plain: Installation) -> None:
    """A pid is given out again; the start time is compared with the process in hand."""
    program = plain.run("SLEEP; exit")
    stat = procfs.stat(program.pid)
    assert stat is not None

    assert not procfs.send(program.pid, stat.started - 1, signal.SIGKILL)
    assert procfs.send(program.pid, stat.started, signal.SIGCONT)

    assert program.poll() is None


def test_a_kernel_without_process_handles_is_served_too(plain: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 5.3 the start time is compared right before the signal."""
    program = plain.run("SLEEP; exit")
    stat = procfs.stat(program.pid)
    assert stat is not None
    monkeypatch.setattr(os, "pidfd_open", _not_implemented)

    assert not procfs.send(program.pid, stat.started - 1, signal.SIGKILL)
    assert procfs.send(program.pid, stat.started, signal.SIGKILL)

    assert program.wait() == -signal.SIGKILL


def _not_implemented(pid: int) -> int:
    raise OSError(errno.ENOSYS, "Function not implemented")


def test_without_file_descriptors_nothing_counts_as_gone(plain: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read is not known: neither that a job has ended nor that it has not."""
    plain.launch("k1", "SLEEP; exit")
    eventually(lambda: "sleep" in plain.commands("k1"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", _too_many)

        with pytest.raises(CapacityUnavailable, match="Too many open files"):
            plain.table.census()
        with pytest.raises(CapacityUnavailable, match="Too many open files"):
            ending.end(plain.table, "k1", grace=0)

    assert plain.found("k1")


def _too_many(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_process_that_is_gone_is_not_signalled(plain: Installation) -> None:
    """Neither a zombie nor a pid that nobody has is an error."""
    program = plain.run("exit")
    stat = procfs.stat(program.pid)
    assert stat is not None
    program.wait()

    assert not procfs.send(program.pid, stat.started, signal.SIGKILL)
    assert ending._gone(Process(pid=program.pid, started=stat.started, uid=0, command="sh"))

"""`make demo`, as somebody has it in a terminal: real programs, a real directory, real notebooks."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest
import requests

from tests.services.demo import Demo, Guest, demo, take_tour
from tests.services.program import until


@pytest.fixture
def a_demo() -> Iterator[Demo]:
    with demo("--gpus", "8") as it:
        yield it


def ends(it: Demo) -> dict[str, tuple[str, str | None]]:
    """State and end of each person's job, from the queue's book."""
    with closing(sqlite3.connect(f"file:{it.folder.private}/gpuqueue.sqlite?mode=ro", uri=True)) as book:
        rows = book.execute("select user_name, state, end_kind from jobs").fetchall()
    return {user: (state, end) for user, state, end in rows}


def test_ctrl_c_ends_everything_and_what_waits_goes_on_at_the_next_start(a_demo: Demo) -> None:
    """Notebooks end as stopped, nothing is left of any program, and the waiting request keeps its place."""
    a_demo.start()
    alice, bob = Guest(a_demo, "alice").login(), Guest(a_demo, "bob").login()
    alice.ask(profile="gpu", gpus="gpu4")
    alice.ready()
    bob.ask(profile="gpu", gpus="gpu8")
    until(lambda: "bob" in ends(a_demo), within=10, what="bob's request is in the queue")

    status = a_demo.end(signal.SIGINT)
    left = a_demo.left()
    after = ends(a_demo)
    a_demo.start(within=60)
    bob = Guest(a_demo, "bob").login()
    bob.ready()
    again = a_demo.end(signal.SIGTERM)

    assert (status, again) == (0, 0)
    assert left == []
    assert after["alice"] == ("ended", "stopped")
    assert after["bob"][1] is None, "his request waits on"
    assert a_demo.left() == []


def test_a_killed_demo_leaves_notebooks_only_and_they_run_on(a_demo: Demo) -> None:
    """kill -9 takes all programs along; the next start finds the notebook, and its ports are the same."""
    a_demo.start()
    carol = Guest(a_demo, "carol").login()
    carol.ask(profile="cpu")
    carol.ready()
    before = a_demo.notebooks()

    a_demo.program.kill()
    until(lambda: len(a_demo.left()) == len(before), within=10, what="only notebooks are left")
    a_demo.start()
    carol = Guest(a_demo, "carol").login()
    server = carol.server()
    status = a_demo.end()

    assert before
    assert server["ready"] is True
    assert "processes of notebooks outlived the last demo" in a_demo.said()
    assert status == 0
    assert a_demo.left() == []


@pytest.mark.parametrize("name", ["hub", "manager", "proxy", "slapd"])
def test_what_dies_is_started_again(running: Demo, name: str) -> None:
    """Each program by itself; afterwards people log in and the queue answers through the proxy."""
    first = running.pid(name)

    os.kill(first, signal.SIGKILL)
    until(lambda: running.pid(name) not in (0, first), within=20, what=f"{name} runs again\n{running.program.tail()}")

    def answers() -> bool:
        try:
            Guest(running, "alice").login()
            return requests.get(f"{running.url}/services/gpuqueue/health", timeout=3).status_code == 200
        except (AssertionError, StopIteration, requests.RequestException):
            return False

    until(answers, within=40, what=f"the site answers again\n{running.program.tail()}", every=0.5)
    assert f"{name} was ended by SIGKILL; it is started again" in running.said()


@pytest.fixture(scope="module")
def running() -> Iterator[Demo]:
    """A demo that several tests share."""
    with demo() as it:
        it.start()
        yield it
        assert it.end() == 0
        assert it.left() == []


def test_programs_that_are_paused_end_too(a_demo: Demo) -> None:
    """SIGSTOP saves nobody: what does not end when asked is killed."""
    a_demo.start()
    for name in ("hub", "manager", "proxy", "slapd"):
        os.kill(a_demo.pid(name), signal.SIGSTOP)

    status = a_demo.end()

    assert status == 0
    assert a_demo.left() == []


def test_two_demos_run_side_by_side_and_a_visitor_s_status_is_the_demo_s(running: Demo) -> None:
    """With a port and a folder each; `--visitor` is how the tour is run."""
    with demo("--visitor", "sh -c 'test -n \"$GPUQUEUE_URL\" && exit 7'") as second:
        second.start()
        assert second.program.process is not None
        status = second.program.process.wait(60)

        assert status == 7
        assert second.left() == []
    assert running.program.alive


def test_a_port_or_folder_in_use_is_refused_in_words(running: Demo) -> None:
    """At once, and with what helps."""
    with demo() as second:
        second.port = running.port
        second.program.argv = [*second.program.argv[:4], "--port", str(running.port), "--data", str(second.folder.path)]
        second.program.start()
        assert second.program.process is not None
        port = second.program.process.wait(20)
        said = second.said()

        second.program.argv = [*second.program.argv[:6], "--data", str(running.folder.path)]
        second.program.start()
        folder = second.program.process.wait(20)

    assert (port, folder) == (1, 1)
    assert f"port {running.port} on 127.0.0.1 is in use" in said
    assert f"PORT={running.port + 1}" in said


def test_fresh_forgets_what_was(a_demo: Demo) -> None:
    """New passwords, an empty queue, and notebooks that outlived their demo are ended first."""
    a_demo.start()
    carol = Guest(a_demo, "carol").login()
    carol.ask(profile="cpu")
    carol.ready()
    before = a_demo.folder.accounts()
    a_demo.program.kill()
    survivors = a_demo.notebooks()

    a_demo.program.argv = [*a_demo.program.argv, "--fresh"]
    a_demo.start()
    alive = [pid for pid in survivors if os.path.exists(f"/proc/{pid}/exe")]
    after = a_demo.folder.accounts()
    jobs = ends(a_demo)
    a_demo.end()

    assert survivors
    assert alive == []
    assert {name: each["uid"] for name, each in after.items()} == {name: each["uid"] for name, each in before.items()}
    assert after != before
    assert jobs == {}


def test_what_cannot_come_up_is_given_up_with_its_words(a_demo: Demo) -> None:
    """A program that dies again and again before all is up: the demo ends and says which."""
    a_demo.program.env = {**a_demo.program.env, "GPUQUEUE_DB_URL": "sqlite:////nowhere/at/all.sqlite"}
    a_demo.program.start()
    assert a_demo.program.process is not None

    status = a_demo.program.process.wait(90)

    assert status == 1
    assert "gpuqueue demo: manager ended with status 1, 4 times in a row" in a_demo.said()
    assert a_demo.left() == []


def test_only_this_machine_reaches_it(running: Demo) -> None:
    """127.0.0.1, not every address of the machine."""
    other = next((address for address in _addresses() if not address.startswith("127.")), None)

    if other is not None:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((other, running.port), timeout=3).close()


def test_the_tour_holds_without_a_browser() -> None:
    """Every step of the story over HTTP, as where no browser may be installed."""
    status, said, left = take_tour("--gpus", "3", "--http")

    assert "over HTTP" in said
    assert status == 0, said
    assert len(re.findall(r"^tour +\d\. .* \(\d+ s\)$", said, re.M)) == 7
    assert left == []


def _addresses() -> list[str]:
    every = (address for addresses in psutil.net_if_addrs().values() for address in addresses)
    return [address.address for address in every if address.family is socket.AF_INET]

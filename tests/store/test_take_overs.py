"""Managers that are killed and paused under load, on a real PostgreSQL: the next one leads, the old one writes nothing,
and no job is lost or there twice.

Real processes, one with a clock that is right, one an hour ahead, one an hour behind. What must hold is read off the
database, whose triggers say who wrote. `GPUQUEUE_SEED=n` repeats a run, `GPUQUEUE_TAKE_OVERS=n` makes it longer.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpuqueue_spawner.model import State
from gpuqueue_spawner.store import Store
from tests.services.audit import Audit
from tests.services.postgresql import PostgreSQL
from tests.services.program import Program, until
from tests.services.promises import promise

from .builders import check_whole

TAKE_OVERS = int(os.environ.get("GPUQUEUE_TAKE_OVERS", "200"))
SEED = int(os.environ.get("GPUQUEUE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
AHEAD = (0, 3600, -3600)  #: seconds, of each manager's clock
PEOPLE = 4
ROOT = Path(__file__).parents[2]
ANSWER_S = 0.5  # after it another manager is asked
BUSY = 60  #: rows that a leader has written at most before it is struck


class Managers:
    """The processes, by their place; each start has a name of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address, self._folder = address, folder
        self._numbers = itertools.count(1)
        self._names: dict[str, int] = {}  #: place, by name
        self.programs = [self._program(place) for place in range(len(AHEAD))]

    def _program(self, place: int) -> Program:
        name = f"manager{next(self._numbers)}"
        self._names[name] = place
        self.socket(place).unlink(missing_ok=True)
        address = f"{self._address}&application_name={name}"
        argv = [sys.executable, "-m", "tests.store.manager", address, name, str(self.socket(place)), str(AHEAD[place])]
        program = Program(name, argv, self._folder / f"{name}.log", cwd=ROOT)
        program.start()
        return program

    def socket(self, place: int) -> Path:
        """Where it is asked."""
        return self._folder / f"{place}"

    def kill(self, place: int) -> None:
        """kill -9, and another one in its place."""
        self.programs[place].kill()
        self.programs[place] = self._program(place)

    def place(self, holder: str) -> int:
        """Which one holds the lease."""
        return self._names[holder.partition("/")[0]]

    def end(self) -> None:
        """End all of them."""
        for program in self.programs:
            program.kill()

    def story(self) -> str:
        """The ends of their logs."""
        return "\n".join([f"seed {SEED}", *(f"-- {program.name}\n{program.tail(12)}" for program in self.programs)])


@dataclass
class Person(threading.Thread):
    """Asks for notebooks, again and again until told that it is done, and stops them."""

    name_: str
    managers: Managers
    chance: random.Random
    done: threading.Event
    asked: dict[str, int | None] = field(default_factory=dict)  #: the job, by the request; None: not answered yet
    stopped: set[int] = field(default_factory=set)  #: jobs that a manager said to be ended
    place: int = 0  #: of the manager that is asked

    def __post_init__(self) -> None:
        super().__init__(name=self.name_, daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        for number in itertools.count():
            request, user = f"{self.name_}-{number}", f"{self.name_}-{number % 5}"
            self.asked[request] = None
            job = self._ask("submit", user, request)
            if job is None:
                return
            self.asked[request] = job
            if self.chance.random() < 0.3:  # as if the answer had been lost
                again = self._ask("submit", user, request)
                if again is not None:
                    promise(again == job, f"{request} is job {job} and job {again}")
            if self.chance.random() < 0.1:
                self.done.wait(self.chance.random())
            if self._ask("stop", job) is None:
                return
            self.stopped.add(job)

    def _ask(self, *question: object) -> int | None:
        """Ask one after the other until one has an answer; None: the test is over."""
        while not self.done.is_set():
            place = self.place
            with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as line:
                line.settimeout(ANSWER_S)
                line.connect(str(self.managers.socket(place)))
                line.sendall(json.dumps(question).encode() + b"\n")
                answer = json.loads(line.makefile().readline())
                if answer is not None:
                    return int(answer)
            self.place = (place + 1) % len(AHEAD)
            time.sleep(0.01)
        return None


@pytest.fixture
def queue(postgresql_server: PostgreSQL) -> str:
    """A database that notes who writes."""
    address = postgresql_server.database()
    with closing(Store(address)) as store:
        store.upgrade()
    Audit(address).begin()
    return address


@pytest.fixture
def managers(queue: str, tmp_path: Path) -> Iterator[Managers]:
    it = Managers(queue, tmp_path)
    yield it
    it.end()


def strike(managers: Managers, place: int, how: str) -> Callable[[], None]:
    """Take the leader away; the result lets it come back, which is when it might do harm."""
    if how == "kill":
        managers.kill(place)
        return lambda: None
    paused = managers.programs[place]
    paused.signal(signal.SIGSTOP)
    return lambda: paused.signal(signal.SIGCONT)


def who_leads(store: Store, managers: Managers) -> str:
    """Who holds the lease."""
    until(store.leader.read, within=30, what="somebody leads", story=managers.story, every=0.02)
    lease = store.leader.read()
    assert lease
    return lease.holder


def test_two_hundred_take_overs_under_load_lose_and_double_no_job(managers: Managers, queue: str) -> None:
    """Two replicas, one leads: a leader that is paused or has a clock an hour off writes nothing after its lease."""
    print(f"seed {SEED}")
    chance, audit, done = random.Random(SEED), Audit(queue), threading.Event()  # noqa: S311
    people = [Person(f"person{n}", managers, random.Random(SEED + n), done) for n in range(PEOPLE)]  # noqa: S311
    with closing(Store(queue)) as store, ExitStack() as stack:
        stack.callback(done.set)
        for person in people:
            person.start()

        while (fence := audit.leader()) <= TAKE_OVERS:
            enough = audit.length() + chance.randrange(BUSY)
            until(lambda n=enough: audit.length() >= n, within=30, what="it works", story=managers.story, every=0.01)
            place = managers.place(who_leads(store, managers))
            come_back = strike(managers, place, chance.choice(("kill", "pause", "pause")))
            until(lambda f=fence: audit.leader() > f, within=30, what="the next one leads", story=managers.story)
            come_back()
            assert all(person.is_alive() for person in people), "somebody was told two things"
        done.set()
        for person in people:
            person.join()
        managers.end()

        check_whole(store, queue)
        nothing_lost_or_doubled(store, people)
    writers = audit.writers()
    assert len(writers) >= TAKE_OVERS
    promise(all(len(each) == 1 for each in writers.values()), f"two managers wrote at a time: {writers}")
    assert audit.writes("jobs") > 5 * TAKE_OVERS, "there was load"
    assert audit.writes("held_devices") > TAKE_OVERS, "GPUs were given and taken back"


def nothing_lost_or_doubled(store: Store, people: list[Person]) -> None:
    """Every request that was answered is one job, which ended if it was said so; others are one or none."""
    jobs = [*store.jobs.open(), *store.jobs.ended(since=-1e9, limit=10**6)]
    found = {job.request: job for job in jobs}
    promise(len(found) == len(jobs), "a request is there twice")
    for person in people:
        for request, id in person.asked.items():
            promise(id is None or (request in found and found[request].id == id), f"{request}, job {id}, was lost")
            if id in person.stopped:
                promise(found[request].state is State.ENDED, f"job {id} came back")
    assert len(found) <= sum(len(person.asked) for person in people)

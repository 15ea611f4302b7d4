"""What a visitor of the demo does, step by step, and what has to be true after each.

Knows the story, not how people reach the site: browser.py and http.py are two ways to be a Person.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from ...model import Job
from ...store import Store

WRITES = """\
import os
from pathlib import Path
print(os.environ["CUDA_VISIBLE_DEVICES"])
Path("tour.txt").write_text("written on " + os.environ["CUDA_VISIBLE_DEVICES"])
"""
READS = """\
from pathlib import Path
print(Path("tour.txt").read_text())
"""
NOTE = "the machine is needed for a course"


class Wrong(Exception):
    """A step did not hold."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What somebody reads off the waiting page."""

    place: int
    of: int
    start: str  #: "14:20"; empty: no estimate
    why: str

    def __str__(self) -> str:
        start = f"starts at the latest about {self.start}" if self.start else "no estimate"
        return f"number {self.place} of {self.of}, {start}: “{self.why}”"


class Person(Protocol):
    """Somebody at the site."""

    name: str

    def log_in(self) -> None:
        """With the password of the demo."""

    def ask(self, gpus: int, *, name: str) -> None:
        """Fill the form and press Start."""

    def arrives(self) -> None:
        """Wait until the waiting page has opened the notebook by itself."""

    def wait(self) -> Wait:
        """Read the waiting page."""

    def is_told_to_wait(self) -> str:
        """Wait until there is an answer again after the Hub was killed; what was said meanwhile."""

    def is_told_of_the_end(self) -> str:
        """Wait until the waiting page says that the request was cancelled; its words."""

    def run(self, code: str) -> str:
        """Run a cell in the open notebook; what it prints."""

    def stop(self, name: str) -> None:
        """Stop a notebook on My jobs."""

    def queue(self) -> list[str]:
        """The rows of waiting jobs on the admin page."""

    def drop(self, name: str, *, note: str) -> None:
        """Cancel a waiting job on the admin page."""

    def shot(self, name: str) -> None:
        """Keep a picture of what is seen, where there is something to see."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The demo that is visited."""

    url: str
    private: Path  #: its folder of secrets, where the queue's book is too
    gpus: int

    def job(self, user: str) -> Job:
        """The open job of somebody, by the queue's own book.

        :raises Wrong: there is none.
        """
        with closing(Store(f"sqlite:///{self.private}/gpuqueue.sqlite")) as store:
            for job in store.jobs.open():
                if job.user == user:
                    return job
        raise Wrong(f"{user} has no open job")

    def devices(self, user: str) -> tuple[str, ...]:
        """The GPUs that somebody holds, by the queue's own book."""
        placement = self.job(user).placement
        return placement.devices if placement else ()

    def kill_hub(self) -> int:
        """Do kill -9 to the Hub; its process id."""
        for process in psutil.Process(os.getppid()).children():
            if "jupyterhub" in process.cmdline():
                process.send_signal(signal.SIGKILL)
                return process.pid
        raise Wrong("the Hub's process was not found")


class Tour:
    """The story, and what one step has to know of another."""

    def __init__(self, site: Site, person: Callable[[str], Person]) -> None:
        self.site = site
        self.more, self.less = site.gpus - site.gpus // 2, site.gpus // 2
        self.alice, self.bob, self.carol, self.dana = (person(name) for name in ("alice", "bob", "carol", "dana"))
        self.request = 0  #: id of the job that waits

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """In their order: what is tried, and the function that tries it and says what came of it."""
        yield "users fill the GPUs", self.fill
        yield "one more request waits", self.one_waits
        yield "the Hub is killed and comes back", self.kill_the_hub
        yield "one notebook is stopped, the waiting one starts", self.stop_one
        yield "a cell prints the GPUs that it sees", self.run_a_cell
        yield "the file it wrote is there in the next notebook", self.start_again
        yield "the admin reads the queue and drops a waiting job", self.drop_one

    def fill(self) -> str:
        """Alice takes one half, Bob the other."""
        asked = [(self.alice, self.more, "attention maps"), (self.bob, self.less, "embeddings")]
        holders = [(person, gpus) for person, gpus, name in asked if gpus]
        for person, gpus, name in asked:
            if gpus:
                person.log_in()
                person.ask(gpus, name=name)
        held: list[str] = []
        for person, _ in holders:
            person.arrives()
            held += self.site.devices(person.name)
        if len(set(held)) != self.site.gpus:
            raise Wrong(f"{len(set(held))} of {self.site.gpus} GPUs are held: {held}")
        self.alice.shot("notebook-of-alice")
        return ", ".join(f"{person.name} has {gpus}" for person, gpus in holders)

    def one_waits(self) -> str:
        """Carol asks for as many as Alice has, and reads her place."""
        self.carol.log_in()
        self.carol.ask(self.more, name="night run")
        wait = self.carol.wait()
        self.carol.shot("waiting")
        if (wait.place, wait.of) != (1, 1) or not wait.start or not wait.why:
            raise Wrong(f"carol reads: {wait}")
        self.request = self.site.job("carol").id
        return f"carol reads: {wait}"

    def kill_the_hub(self) -> str:
        """The open page says that the place is kept, and goes on by itself."""
        pid = self.site.kill_hub()
        self.carol.shot("hub-away")
        told = self.carol.is_told_to_wait()
        wait = self.carol.wait()
        self.carol.shot("hub-back")
        job = self.site.job("carol").id
        if (wait.place, job) != (1, self.request):
            raise Wrong(f"before, carol had job {self.request} and place 1; now job {job}, and she reads: {wait}")
        return f"kill -9 {pid}; carol reads: “{told}”, then again: {wait}"

    def stop_one(self) -> str:
        """Alice gives her GPUs back."""
        given_back = set(self.site.devices("alice"))
        self.alice.stop("attention maps")
        self.alice.shot("my-jobs-of-alice")
        self.carol.arrives()
        self.carol.shot("notebook-of-carol")
        got = set(self.site.devices("carol"))
        if got != given_back:
            raise Wrong(f"alice gave back {sorted(given_back)}, carol got {sorted(got)}")
        return "alice stops hers, carol's opens by itself"

    def run_a_cell(self) -> str:
        """It sees exactly what the queue gave it."""
        seen = self.carol.run(WRITES).strip()
        self.carol.shot("cell")
        if sorted(seen.split(",")) != sorted(self.site.devices("carol")):
            raise Wrong(f"the cell sees {seen!r}, the queue gave {self.site.devices('carol')}")
        return f"it sees {seen}"

    def start_again(self) -> str:
        """Carol's folder stays between two notebooks."""
        before = self.site.devices("carol")
        self.carol.stop("night run")
        self.carol.ask(1, name="the next one")
        self.carol.arrives()
        read = self.carol.run(READS).strip()
        self.carol.shot("file")
        if read != f"written on {','.join(before)}":
            raise Wrong(f"the file says {read!r}")
        return f"the next one reads: “{read}”"

    def drop_one(self) -> str:
        """Dana cancels a request of Alice's, and Alice is told why."""
        self.alice.ask(self.site.gpus, name="whole machine")
        self.alice.wait()
        self.dana.log_in()
        rows = self.dana.queue()
        self.dana.shot("admin")
        if len(rows) != 1 or "alice" not in rows[0] or "whole machine" not in rows[0]:
            raise Wrong(f"the admin reads: {rows}")
        self.dana.drop("whole machine", note=NOTE)
        self.dana.shot("admin-afterwards")
        told = self.alice.is_told_of_the_end()
        self.alice.shot("cancelled")
        if NOTE not in told:
            raise Wrong(f"alice reads: {told}")
        return f"dana reads “{rows[0]}” and drops it; alice reads: “{told}”"

"""Whatever is stopped, however: nobody loses a place, no GPU is given twice, running notebooks run on.

Random faults on real processes, the seed printed; `GPUQUEUE_SEED=n` repeats a run, `GPUQUEUE_ROUNDS=n` makes it longer.
What must hold afterwards is read off the machine's processes and the queue's database, not asked of the queue.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.services.program import Program, until
from tests.services.promises import promise
from tests.services.site import Site, site
from tests.services.visitor import Visitor

ROUNDS = int(os.environ.get("GPUQUEUE_ROUNDS", "44"))
REAL_ROUNDS = 8  # at least so many rounds have a real notebook among those that must run on
SEED = int(os.environ.get("GPUQUEUE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
HOLDING = ("admitted", "starting", "running", "restarting", "stopping")

# People whose name begins with "real" get a real notebook server, all others a small program that answers like one.
REAL = f"""
def _real(spawner):
    if spawner.user.name.startswith("real"):
        spawner.cmd = ["{Path(sys.executable).parent}/jupyterhub-singleuser"]
c.Spawner.pre_spawn_hook = _real
c.QueueingMixin.launch_timeout = 90
"""


@pytest.fixture(scope="module")
def shaken() -> Iterator[Site]:
    with site(gpus=4, hub_more=REAL, manager_more="c.Policy.queued_jobs = 0") as it:
        yield it


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job as the database has it."""

    id: int
    key: str
    user: str
    server: str
    state: str
    queued: float
    end: str | None
    ended: float | None
    pid: int | None
    pid_started: int | None
    node: str | None = None


def rows(at: Site) -> dict[int, Row]:
    """Every job there ever was."""
    found = at.database(
        "select id, job_key, user_name, server, state, queued, end_kind, ended, pid, pid_started from jobs"
    )
    names = ("id", "key", "user", "server", "state", "queued", "end", "ended", "pid", "pid_started")
    return {row[0]: Row(**dict(zip(names, row, strict=True))) for row in found}


def started_of(pid: int) -> int | None:
    """When a living process started; None: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass
class Shaker:
    """The people of the site, and what is done to it."""

    site: Site
    chance: random.Random
    people: list[Visitor] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  #: what was done, for a failed round
    real_rounds: int = 0  #: rounds that began with a real notebook running

    def say(self, words: str) -> None:
        self.told.append(words)
        print(words)

    # ---- what people do ------------------------------------------------------------------------------------------

    def keep_busy(self) -> None:
        """See that all GPUs are held and that somebody waits."""
        for person in self.people:
            if person.job() is None and person.server() is None:
                gpus = 1 if person.name.startswith("real") else self.chance.choice((1, 1, 2, 2, 3))
                person.start(f"gpu{gpus}")
        until(self._busy, within=60, what="somebody runs and somebody waits", story=self.story)

    def _busy(self) -> bool:
        states = [row.state for row in rows(self.site).values()]
        return "running" in states and "queued" in states and self._settled()

    def free_a_gpu(self) -> None:
        """Stop a running notebook, so that somebody's turn comes."""
        running = [row for row in rows(self.site).values() if row.state == "running"]
        row = self.chance.choice([row for row in running if not row.user.startswith("real")] or running)
        person = next(each for each in self.people if each.name == row.user)
        self.say(f"  {row.user} stops job {row.id}")
        person.stop()

    # ---- what happens to the site ----------------------------------------------------------------------------------

    def strike(self, programs: list[Program], how: str) -> None:
        """kill, term or pause programs, all at once; start again what ended."""
        self.say(f"  {how} {' '.join(program.name for program in programs)}")
        if how == "pause":
            for program in programs:
                program.signal(signal.SIGSTOP)
            time.sleep(self.chance.uniform(0.5, 3.0))
            for program in programs:
                program.signal(signal.SIGCONT)
            return
        for program in programs:
            program.signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
        for program in programs:
            program.kill() if how == "kill" else program.stop()
        time.sleep(self.chance.choice((0.0, 0.0, 1.0)))
        for program in programs:
            program.start()

    def strike_a_notebook(self) -> set[int]:
        """kill -9 of one running notebook server."""
        running = [row for row in rows(self.site).values() if row.state == "running" and row.pid]
        row = self.chance.choice(running)
        self.say(f"  kill the notebook of job {row.id}")
        if row.pid is not None and started_of(row.pid) == row.pid_started:
            os.kill(row.pid, signal.SIGKILL)
        return {row.id}

    # ---- what must hold --------------------------------------------------------------------------------------------

    def check(self, before: dict[int, Row], struck: set[int]) -> None:
        """Wait until the site has settled, then look at everything."""
        self.site.wait()
        until(self._settled, within=60, what="the Hub holds every waiting request again", story=self.story)
        after = rows(self.site)
        promise(before.keys() <= after.keys(), "a job is gone from the database")
        promise(sorted(after) == list(range(1, len(after) + 1)), "an id is missing: a job was lost")
        for id, row in before.items():
            self._one_end(after[id])
            if row.state in ("queued", "held"):
                promise(after[id].queued == row.queued, f"job {id} lost its place\n{self.story()}")
            if row.state == "running" and id not in struck:
                same = (after[id].pid, after[id].pid_started) == (row.pid, row.pid_started)
                promise(after[id].state == "running", f"job {id} does not run any more\n{self.story()}")
                promise(same, f"job {id} was launched anew\n{self.story()}")
                assert row.pid is not None
                promise(started_of(row.pid) == row.pid_started, f"job {id} has no process\n{self.story()}")
        self.no_gpu_twice(after)

    def _one_end(self, row: Row) -> None:
        ended = row.state == "ended"
        assert (row.end is not None and row.ended is not None) if ended else row.ended is None, f"{row}\n{self.story()}"

    def no_gpu_twice(self, after: dict[int, Row]) -> None:
        """By the processes themselves: who uses which GPU, and does the queue know."""
        by_key = {row.key: row for row in after.values()}
        users: dict[str, str] = {}
        for pid, marks in self.site.processes().items():
            key = marks["GPUQUEUE_JOB"].split("/")[1]
            if "JUPYTERHUB_SERVICE_URL" not in marks:
                continue  # a wrapper that has not become a notebook uses nothing
            for device in filter(None, marks["CUDA_VISIBLE_DEVICES"].split(",")):
                promise(users.setdefault(device, key) == key, f"{device} is used by two jobs\n{self.story()}")
            promise(by_key[key].state in HOLDING, f"process {pid} of {by_key[key]} uses free GPUs\n{self.story()}")
        held = self.site.database("select count(*), count(distinct node || '/' || device) from held_devices")[0]
        promise(held[0] == held[1], "the database holds a GPU twice")

    def _settled(self) -> bool:
        """Every waiting job has a start() in the Hub, every running one a ready server, and none is on its way."""
        jobs = [row for row in rows(self.site).values() if row.state != "ended"]
        if any(row.state not in ("queued", "running") for row in jobs):
            return False
        if any(row.state == "running" and started_of(row.pid or 0) != row.pid_started for row in jobs):
            return False  # the queue has not noticed yet
        servers = {user["name"]: user["servers"] for user in self.site.hub_api("GET", "/users").json()}
        listed = [(row, servers.get(row.user, {}).get(row.server)) for row in jobs]
        return all(
            server is not None and (server["ready"] if row.state == "running" else server["pending"] == "spawn")
            for row, server in listed
        )

    def story(self) -> str:
        jobs = "\n".join(map(str, rows(self.site).values()))
        return "\n".join([f"seed {SEED}", *self.told[-12:], jobs, self.site.story()])


def test_random_faults(shaken: Site) -> None:
    """Manager, Hub, proxy, notebook, all at once: kill -9, SIGTERM, SIGSTOP and SIGCONT, at random moments."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311
    shaker = Shaker(shaken, chance)
    shaker.people = [Visitor(shaken, name).login() for name in ("realeve", "ada", "ben", "cleo", "dan", "fay")]
    hub, manager, proxy = shaken.hub, shaken.manager, shaken.proxy
    targets = [[manager], [hub], [proxy], [manager, hub], [hub, manager, proxy]]

    for number in range(ROUNDS):
        shaker.say(f"round {number}")
        shaker.keep_busy()
        before = rows(shaken)
        shaker.real_rounds += any(row.state == "running" and row.user.startswith("real") for row in before.values())
        struck: set[int] = set()
        if chance.random() < 0.6:  # while somebody's turn comes, from admission to the first answer
            running = {row.id for row in before.values() if row.state == "running"}
            shaker.free_a_gpu()
            after = rows(shaken)
            struck |= {id for id in running if after[id].state != "running"}
            time.sleep(chance.uniform(0.0, 1.6))
        before = {id: row for id, row in before.items() if id not in struck}
        if chance.random() < 0.15 and any(row.state == "running" for row in rows(shaken).values()):
            struck |= shaker.strike_a_notebook()
        else:
            shaker.strike(chance.choice(targets), chance.choice(("kill", "kill", "term", "pause")))
        moved = {id for id, row in before.items() if row.state == "queued"}
        shaker.check({id: row for id, row in before.items() if id not in moved}, struck)
        kept = rows(shaken)
        for id in moved - struck:
            assert kept[id].queued == before[id].queued, f"job {id} lost its place\n{shaker.story()}"
            shaker._one_end(kept[id])
            assert kept[id].state != "ended", f"job {id} ended while it waited\n{shaker.story()}"
    assert shaker.real_rounds >= min(REAL_ROUNDS, ROUNDS // 2)


MOMENTS: dict[str, Callable[[Row], bool]] = {
    "admitted": lambda row: row.state == "admitted",
    "permitted": lambda row: row.state == "starting" and row.pid is None,
    "claimed": lambda row: row.state == "starting" and row.pid is not None,
    "answered": lambda row: row.state == "running",
}


@pytest.mark.parametrize("who", ["hub", "manager"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_in_the_middle_of_a_launch(shaken: Site, moment: str, who: str) -> None:
    """Between admission, permit, fork and first answer: the job runs in the end, once, on GPUs that only it uses."""
    shaker = Shaker(shaken, random.Random(SEED))  # noqa: S311
    person = Visitor(shaken, f"mo{moment}{who}").login()
    _empty(shaker)

    person.start("gpu4")
    seen = _catch(shaken, person.name, MOMENTS[moment])
    program: Program = getattr(shaken, who)
    program.kill()
    program.start()

    shaken.wait()
    job = person.job_is("running", within=60)
    until(lambda: (person.server() or {}).get("ready"), within=60, what="the Hub has it ready", story=shaker.story)
    shaker.no_gpu_twice(rows(shaken))
    servers = [marks for marks in shaken.processes().values() if "JUPYTERHUB_SERVICE_URL" in marks]
    assert [marks["GPUQUEUE_JOB"].split("/")[1] for marks in servers] == [job["key"]], f"caught: {seen}"
    person.stop()
    person.all_ended()


def _catch(at: Site, user: str, moment: Callable[[Row], bool]) -> bool:
    """Look as fast as the database answers; a moment that was missed is no harm, the kill still comes in between."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        mine = [row for row in rows(at).values() if row.user == user and row.state != "ended"]
        if any(map(moment, mine)):
            return True
        if any(row.state == "running" for row in mine):
            return False
    raise AssertionError(f"{user} never got that far\n{at.story()}")


def test_a_hub_that_stood_still_for_longer_than_every_limit_starts_nothing_late(shaken: Site) -> None:
    """It wakes up in the middle of a launch that nobody waits for any more."""
    shaker = Shaker(shaken, random.Random(SEED))  # noqa: S311
    person = Visitor(shaken, "still").login()
    _empty(shaker)

    person.start("gpu2")
    _catch(shaken, person.name, MOMENTS["permitted"])
    shaken.hub.signal(signal.SIGSTOP)
    time.sleep(75)
    shaken.hub.signal(signal.SIGCONT)

    shaken.wait()
    job = person.job_is("running", within=90)
    shaker.no_gpu_twice(rows(shaken))
    servers = [marks for marks in shaken.processes().values() if "JUPYTERHUB_SERVICE_URL" in marks]
    assert [marks["GPUQUEUE_JOB"].split("/")[1] for marks in servers] == [job["key"]]
    person.stop()
    person.all_ended()


def _empty(shaker: Shaker) -> None:
    """End what other tests left."""
    dana = Visitor(shaker.site, "dana")
    for row in rows(shaker.site).values():
        if row.state != "ended":
            dana.queue("POST", f"jobs/{row.id}/stop", body={})

    def empty() -> bool:
        open_servers: list[Any] = [user["servers"] for user in shaker.site.hub_api("GET", "/users").json()]
        return all(row.state == "ended" for row in rows(shaker.site).values()) and not any(open_servers)

    until(empty, within=60, what="nothing is left", story=shaker.story)

"""Whatever part of a cluster or of the queue is lost, however: no request is lost, and no GPU is given twice.

Random faults, each while some job is in the middle of a given state; the seed is printed, `GPUQUEUE_SEED=n` repeats a
run, `GPUQUEUE_ROUNDS=n` makes it longer. What must hold afterwards is read off the kubelets (who really has which
device), the pods, and the queue's database.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import requests

from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.kubectl import Kubectl
from tests.services.kubernetes.queue import KEYS
from tests.services.kubernetes.relay import Relay
from tests.services.program import Program, until
from tests.services.promises import promise
from tests.services.site import Site
from tests.services.visitor import Visitor

ROUNDS = int(os.environ.get("GPUQUEUE_ROUNDS", "30"))
SEED = int(os.environ.get("GPUQUEUE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
HOLDING = ("admitted", "starting", "running", "restarting", "stopping")
SETTLES_S = 180  # a launch, and another one for what was taken away
PEOPLE = ("ada", "ben", "cleo", "dan", "fay", "gil")
PROFILES = ("gpu4", "gpu4", "gpu8")  # of these not six fit into sixteen GPUs, so somebody always waits
SMALL = ("ada", "gpu2")
MOMENTS = ("queued", "admitted", "starting", "running", "restarting", "stopping")
TURN_S = 5  # for somebody to get what was freed, if anybody waits for so little


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job as the database has it."""

    id: int
    key: str
    user: str
    state: str
    queued: float
    end: str | None
    node: str | None
    devices: tuple[str, ...]
    launch: int


def rows(at: Site) -> dict[int, Row]:
    """Every job there ever was."""
    found = at.database("select id, job_key, user_name, state, queued, end_kind, node, devices, launch from jobs")
    names = ("id", "key", "user", "state", "queued", "end", "node")
    return {
        row[0]: Row(**dict(zip(names, row[:7], strict=True)), devices=tuple(json.loads(row[7] or "[]")), launch=row[8])
        for row in found
    }


@dataclass(kw_only=True)
class Moved:
    """Whose job is not as it was because they wanted it."""

    stopped: set[int] = field(default_factory=set)
    restarted: set[int] = field(default_factory=set)


@dataclass
class Shaker:
    """The people of the site, and what is done to it and to its cluster."""

    site: Site
    cluster: Cluster
    kubectl: Kubectl
    wire: Relay
    hub_wire: Relay
    chance: random.Random
    admin: Visitor
    people: list[Visitor] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  #: what was done, for a failed round

    def say(self, words: str) -> None:
        self.told.append(words)
        print(words, flush=True)

    # ---- what people do ------------------------------------------------------------------------------------------

    def keep_busy(self) -> None:
        """See that GPUs are held and that somebody waits."""
        for person in self.people:
            if person.job() is None and person.server() is None:
                person.start(SMALL[1] if person.name == SMALL[0] else self.chance.choice(PROFILES))
        until(self._settled, within=SETTLES_S, what="somebody runs, the others wait", story=self.story)

    def reach(self, moment: str) -> Moved:
        """Have a job brought into a state, and return while it is in it."""
        moved = Moved()
        if moment == "restarting":
            row = self._running()[0]
            self._meanwhile(row, "restarts", lambda who: who.queue("POST", f"jobs/{row.id}/restart", body={}))
            moved.restarted.add(row.id)
        elif moment in ("admitted", "starting", "stopping"):
            self._stop_one(moved)
        end = time.monotonic() + SETTLES_S
        while not self._comes(moment):
            assert time.monotonic() < end, f"nobody's turn came\n{self.story()}"
            self._stop_one(moved)  # who is next in line waits for more than was freed
        self.say(f"  while a job is {moment}")
        return moved

    def _comes(self, moment: str) -> bool:
        """Whether a job comes into this state, which it may leave at once."""
        end = time.monotonic() + TURN_S
        while time.monotonic() < end:
            if self.site.database("select 1 from jobs where state = ?", moment):
                return True
            time.sleep(0.002)
        return False

    def _running(self) -> list[Row]:
        running = [row for row in rows(self.site).values() if row.state == "running"]
        self.chance.shuffle(running)
        return running

    def _stop_one(self, moved: Moved) -> None:
        for row in self._running()[:1]:
            self._meanwhile(row, "stops", Visitor.stop)
            moved.stopped.add(row.id)

    def _meanwhile(self, row: Row, does: str, act: Callable[[Visitor], object]) -> None:
        """Have the person of a job do something whose answer may never come."""
        self.say(f"  {row.user} {does} job {row.id}")
        person = next(each for each in self.people if each.name == row.user)

        def run() -> None:
            with contextlib.suppress(requests.RequestException):
                act(person)

        threading.Thread(target=run, daemon=True).start()

    # ---- what happens ----------------------------------------------------------------------------------------------

    def faults(self) -> list[Callable[[], None]]:
        """Everything that can be done, each with its own undoing."""
        parts: list[Program] = [self.cluster.components[name] for name in ("apiserver", "etcd", "scheduler")]
        parts += [self.site.manager, self.site.hub]
        both = [self.cluster.components["apiserver"], self.site.manager]
        return [
            *(lambda part=part: self._kill([part]) for part in parts),
            *(lambda part=part: self._term([part]) for part in parts),
            lambda: self._kill(both),
            lambda: self._kill([self.site.manager, self.site.hub]),
            lambda: self._kill([self.cluster.components["apiserver"], self.site.hub]),
            lambda: self._lose_a_kubelet("kill"),
            lambda: self._lose_a_kubelet("term"),
            lambda: self._cut(self.wire, "manager"),
            lambda: self._cut(self.hub_wire, "Hub"),
            self._reset_the_wire,
        ]

    def _kill(self, programs: list[Program]) -> None:
        self.say(f"  kill {' '.join(program.name for program in programs)}")
        for program in programs:
            program.kill()
        self._start_again(programs)

    def _term(self, programs: list[Program]) -> None:
        self.say(f"  term {' '.join(program.name for program in programs)}")
        for program in programs:
            program.stop(within=90)  # an API server lets its watchers go first
        self._start_again(programs)

    def _start_again(self, programs: list[Program]) -> None:
        time.sleep(self.chance.choice((0.0, 0.0, 2.0)))
        for program in programs:
            program.start()

    def _lose_a_kubelet(self, how: str) -> None:
        node = self.cluster.nodes[self.chance.choice(("dgx1", "dgx2"))]
        self.say(f"  {how} kubelet and containerd of {node.name}")
        if how == "kill":
            node.kill_with_containerd()
        else:
            node.stop_with_containerd()
        time.sleep(self.chance.uniform(0.0, 2.0))  # shorter than the cluster takes to call it lost
        node.start_with_containerd()

    def _cut(self, wire: Relay, whose: str) -> None:
        self.say(f"  cut the {whose} off from the API server")
        wire.cut()
        time.sleep(self.chance.uniform(1.0, 8.0))
        wire.heal()

    def _reset_the_wire(self) -> None:
        self.say("  close the manager's watches every second")
        for _ in range(6):
            self.wire.reset()
            time.sleep(1.0)

    # ---- what must hold --------------------------------------------------------------------------------------------

    def check(self, before: dict[int, Row], moved: Moved) -> None:
        """Wait until everything has settled, then look at all of it."""
        self.cluster.whole()
        self.site.wait()
        until(self._settled, within=SETTLES_S, what="everything has settled", story=self.story)
        after, given_up = rows(self.site), self.given_up()
        promise(sorted(after) == list(range(1, len(after) + 1)), f"a job was lost\n{self.story()}")
        for id, row in before.items():
            if id in moved.stopped:
                continue
            now = after[id]
            promise(now.state != "ended", f"job {id} ended, and nobody wanted it\n{self.story()}")
            if row.state == "queued":
                promise(now.queued == row.queued, f"job {id} lost its place\n{self.story()}")
            if row.state == "running" and f"-{row.key[:8]}-{row.launch}" in given_up:
                self.say(f"  the cluster took job {id} away")
                promise((now.key, now.queued) == (row.key, row.queued), f"job {id} lost its place\n{self.story()}")
                promise(now.state == "queued" or now.launch > row.launch, f"job {id} did not start anew")
            elif id in moved.restarted:
                promise((now.key, now.queued) == (row.key, row.queued), f"job {id} lost its place\n{self.story()}")
                promise(now.state == "queued" or now.launch > row.launch, f"job {id} did not restart\n{self.story()}")
            elif row.state == "running":
                promise(now == row, f"job {id} does not run as it did\n{self.story()}")
        self.no_gpu_twice(after)

    def given_up(self) -> set[str]:
        """The ends of the names of pods that the cluster took away itself, by its own word.

        After an outage that was longer than it waits for its nodes, it does that to pods that ran on.
        """
        events = self.kubectl.all("events")
        return {
            "-" + "-".join(str(each["involvedObject"]["name"]).split("-")[-2:])
            for each in events
            if each["reason"] == "TaintManagerEviction" and str(each["message"]).startswith("Marking for deletion")
        }

    def take_back(self) -> None:
        """What an admin does with nodes that the queue took for lost, once they are back."""
        for node in self.admin.queue("GET", "nodes").json().get("nodes", ()):
            if node["drained"] and node["note"] == "It was lost.":
                self.say(f"  an admin takes {node['name']} back")
                self.admin.queue("POST", f"nodes/{node['name']}/undrain", body={})

    def no_gpu_twice(self, after: dict[int, Row]) -> None:
        """By the kubelets: who has which device, and does the queue know."""
        given = [each for each in self.cluster.allocations() if each.namespace == self.kubectl.namespace]
        devices = Counter((each.node, id) for each in given for id in each.ids)
        promise(all(count == 1 for count in devices.values()), f"a device is in two pods: {given}\n{self.story()}")
        job_of = {pod["metadata"]["name"]: int(pod["metadata"]["labels"][KEYS + "job"]) for pod in self.pods()}
        real: Counter[tuple[int, str]] = Counter()
        for each in given:
            if each.pod in job_of:  # a kubelet forgets a pod some time after the cluster has
                real[job_of[each.pod], each.node] += len(each.ids)
        held = Counter(
            {(row.id, row.node or ""): len(row.devices) for row in after.values() if row.state in HOLDING and row.node}
        )
        promise(real <= held, f"the kubelets gave what the books do not know: {real} and {held}\n{self.story()}")
        running = {row.id for row in after.values() if row.state == "running"}
        promise(running == {job for job, _ in real}, f"running jobs without their devices\n{self.story()}")
        books = self.site.database("select count(*), count(distinct node || '/' || device) from held_devices")[0]
        promise(books[0] == books[1], "the database holds a GPU twice")

    def pods(self) -> list[dict[str, object]]:
        """Pods of jobs."""
        return self.kubectl.all("pods", labels=KEYS + "job")

    def _settled(self) -> bool:
        """Every job waits or runs, in the Hub and in the cluster too, and somebody runs."""
        self.take_back()
        jobs = [row for row in rows(self.site).values() if row.state != "ended"]
        if any(row.state not in ("queued", "running") for row in jobs) or not jobs:
            return False
        servers = {user["name"]: user["servers"].get("") for user in self.site.hub_api("GET", "/users").json()}
        if not all((servers.get(row.user) or {}).get("ready") == (row.state == "running") for row in jobs):
            return False
        pods = Counter(str(pod["metadata"]["labels"][KEYS + "job"]) for pod in self.pods())
        return pods == Counter(str(row.id) for row in jobs if row.state == "running") and bool(pods)

    def story(self) -> str:
        jobs = "\n".join(map(str, rows(self.site).values()))
        pods = self.kubectl.tried("get", "pods", "--output=wide").stdout
        return "\n".join([f"seed {SEED}", *self.told[-12:], jobs, pods, self.site.story()])


def test_random_faults(own_cluster: Cluster, kubectl: Kubectl, wire: Relay, hub_wire: Relay, house: Site) -> None:
    """API server, etcd, scheduler, kubelet and containerd, manager, Hub, and their wires: at random moments."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)  # noqa: S311
    shaker = Shaker(house, own_cluster, kubectl, wire, hub_wire, chance, Visitor(house, "dana").login())
    shaker.people = [Visitor(house, name).login() for name in PEOPLE]
    faults, moments = shaker.faults(), list(MOMENTS)

    for number in range(ROUNDS):
        begun = time.monotonic()
        shaker.say(f"round {number}")
        shaker.keep_busy()
        before = rows(house)
        if number % len(moments) == 0:
            chance.shuffle(moments)
        moved = shaker.reach(moments[number % len(moments)])
        # Each of them once before any comes again.
        if number % len(faults) == 0:
            chance.shuffle(faults)
        faults[number % len(faults)]()
        shaker.check({id: row for id, row in before.items() if row.state != "ended"}, moved)
        shaker.say(f"  settled, {time.monotonic() - begun:.1f} s")

    for person in shaker.people:
        person.stop()
    for person in shaker.people:
        person.all_ended(within=90)
    assert shaker.pods() == []

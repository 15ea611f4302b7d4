"""A campus of the size and shape of a public trace of Alibaba's: every node and pod counts, and what fits is found.

1,213 nodes and 8,152 pods as real API objects without kubelets, in a cluster of their own, which ends with them. They
are made here by chance with a fixed seed; the trace itself, and how fast it goes: benchmarks/scale.py.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import requests

from gpuqueue_spawner.capacity import CapacityUnavailable, KubernetesCapacity, Observation
from gpuqueue_spawner.model import Resources
from tests.services.kubernetes.cluster import Cluster, cluster
from tests.services.kubernetes.images import images
from tests.services.kubernetes.kubectl import Kubectl, Object
from tests.services.kubernetes.queue import KEYS, queue_on
from tests.services.program import until
from tests.services.site import PREFIX, Site
from tests.services.visitor import Visitor

NODES, PODS, ENDED = 1213, 8152, 200
SEED = 2023
CLIENTS = 6
SYNC_S = 60
GIB = 2**30
CAMPUS = "campus"  #: namespace of everybody else's pods
GPU, PART = "nvidia.com/gpu", "nvidia.com/gpu.shared"
PARTS = 10  #: of a GPU that is shared

T = TypeVar("T")


def amounts(cpus: int = 0, memory: int = 0, gpus: int = 0, parts: int = 0) -> Counter[str]:
    """In cores and GiB; nothing by name is left out."""
    asked = {"cpu": cpus, "memory": memory * GIB, GPU: gpus, PART: parts}
    return Counter({name: amount for name, amount in asked.items() if amount})


@dataclass(kw_only=True)
class Machine:
    """A node, and what its pods ask for."""

    name: str
    has: Counter[str]
    taken: Counter[str] = field(default_factory=Counter)
    pods: int = 0

    def fits(self, asked: Counter[str]) -> bool:
        return all(self.taken[name] + amount <= self.has[name] for name, amount in asked.items())

    @property
    def free(self) -> Resources:
        """What is left."""
        left = Counter({name: amount - self.taken[name] for name, amount in self.has.items()})
        gpus = {name: left[name] for name in (GPU, PART) if left[name]}
        return Resources(cpus=left["cpu"], memory=left["memory"], gpus=gpus, others={"pods": left["pods"] - self.pods})


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A pod on a node."""

    name: str
    node: str
    asked: Counter[str]
    ended: bool = False


#: How many of each kind, what they have, and what the first pod on each asks for: with it none has eight free GPUs,
#: none a hundred free cores, and none 600 GiB.
KINDS = (
    (576, amounts(96, 384, gpus=8), amounts(4, 16, gpus=1)),
    (187, amounts(104, 512, gpus=2), amounts(8, 48, gpus=1)),
    (200, amounts(104, 512, parts=2 * PARTS), amounts(8, 48, parts=5)),
    (108, amounts(16, 120, parts=2 * PARTS), amounts(1, 4, parts=5)),
    (60, amounts(128, 768, gpus=8), amounts(32, 200, gpus=1)),
    (55, amounts(48, 256, gpus=4), amounts(2, 8)),
    (24, amounts(8, 32, gpus=1), amounts(1, 2)),
)
#: And one each where something fits that fits nowhere else.
LONE = {
    "lone-gpus": (amounts(96, 384, gpus=8), amounts(90, 64)),
    "lone-cores": (amounts(128, 384, gpus=2), amounts(20, 16, gpus=2)),
    "lone-memory": (amounts(96, 768, gpus=2), amounts(90, 120, gpus=2)),
}
#: What pods ask for, and how many in a hundred, as in the trace.
WISHES = {
    48: lambda chance: amounts(chance.choice((3, 8, 11, 12)), chance.choice((5, 29, 47, 48)), gpus=1),
    38: lambda chance: amounts(1, 5, parts=chance.randint(1, PARTS)),
    13: lambda chance: amounts(chance.choice((4, 8, 16, 32)), chance.choice((8, 30, 56))),
    1: lambda chance: amounts(32, 64, gpus=chance.choice((2, 4))),
}


def made_up(chance: random.Random) -> tuple[list[Machine], list[Guest]]:
    """All of it."""
    machines, first = [], []
    for kind, (count, has, asked) in enumerate(KINDS):
        machines += [Machine(name=f"kind{kind}-{number}", has=has + Counter(pods=250)) for number in range(count)]
        first += [asked] * count
    for name, (has, asked) in LONE.items():
        machines.append(Machine(name=name, has=has + Counter(pods=250)))
        first.append(asked)
    guests = [_guest(0, machine, asked) for machine, asked in zip(machines, first, strict=True)]
    usual = machines[: -len(LONE)]
    while len(guests) < PODS - ENDED:
        asked = chance.choices([*WISHES.values()], [*WISHES])[0](chance)
        machine = chance.choice(usual)
        if machine.fits(asked):
            guests.append(_guest(machine.pods, machine, asked))
    for number in range(ENDED):  # they hold nothing, wherever they were
        machine = chance.choice([*usual, machines[-len(LONE)]])
        guests.append(Guest(name=f"ended-{number}", node=machine.name, asked=amounts(8, 64, gpus=8), ended=True))
    return machines, guests


def _guest(number: int, machine: Machine, asked: Counter[str]) -> Guest:
    machine.taken += asked
    machine.pods += 1
    return Guest(name=f"{machine.name}-{number}", node=machine.name, asked=asked)


# ---- as objects ------------------------------------------------------------------------------------------------------


def node_object(machine: Machine) -> Object:
    """As its kubelet would register it."""
    has = {name: str(amount) for name, amount in machine.has.items()}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    return {
        "metadata": {"name": machine.name},
        "status": {"capacity": has, "allocatable": has, "conditions": [ready]},
    }


def pod_object(guest: Guest) -> Object:
    """Bound to its node."""
    asked = {name: str(amount) for name, amount in guest.asked.items()}
    limits = {name: amount for name, amount in asked.items() if "/" in name}
    container = {"name": "main", "image": "none", "resources": {"requests": asked, "limits": limits}}
    return {"metadata": {"name": guest.name}, "spec": {"nodeName": guest.node, "containers": [container]}}


class Sender:
    """An admin's connection that sends much, and reads only whether it was taken; one a thread."""

    def __init__(self, plane: Cluster) -> None:
        assert plane.authority
        context = ssl.create_default_context(cafile=str(plane.authority.ca))
        context.load_cert_chain(*plane.authority.issue("size", "size", group="system:masters"))
        self._connection = http.client.HTTPSConnection(urlsplit(plane.server).netloc, context=context, timeout=60)

    def __call__(self, method: str, path: str, body: Object) -> None:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self._connection.request(method, path, json.dumps(body), {"Content-Type": kind})
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {said[:500]!r}"


def make(machines: Sequence[Machine], guests: Sequence[Guest], senders: list[Sender]) -> None:
    """Make everything, with several clients at once."""
    pods = f"/api/v1/namespaces/{CAMPUS}/pods"

    def make_node(send: Sender, machine: Machine) -> None:
        send("POST", "/api/v1/nodes", node_object(machine))
        if machine.name in LONE:
            # The API server taints each new node, until a controller that is not there sees that it is ready.
            send("PATCH", f"/api/v1/nodes/{machine.name}", {"spec": {"taints": None}})

    def make_pod(send: Sender, guest: Guest) -> None:
        send("POST", pods, pod_object(guest))
        if guest.ended:
            send("PATCH", f"{pods}/{guest.name}/status", {"status": {"phase": "Succeeded"}})

    _side_by_side(senders, make_node, machines)
    _side_by_side(senders, make_pod, guests)


def _side_by_side(senders: list[Sender], work: Callable[[Sender, T], object], items: Sequence[T]) -> None:
    def share(number: int) -> None:
        for item in items[number :: len(senders)]:
            work(senders[number], item)

    with ThreadPoolExecutor(len(senders)) as pool:
        for _ in pool.map(share, range(len(senders))):
            pass


# ---- a cluster of them -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plane(own_cluster: Cluster) -> Iterator[Cluster]:
    """A control plane without nodes; nobody calls a node lost that never says a word."""
    with cluster(images(), own_cluster.images, {}) as it:
        for name in (CAMPUS, "notebooks"):
            it.kubectl("create", "namespace", name)
            within = it.kubectl.within(name)
            until(lambda it=within: it.find("serviceaccount", "default"), within=60, what=f"{name} takes pods")
        it.components["controllers"].kill()
        yield it


@pytest.fixture(scope="module")
def machines(plane: Cluster) -> list[Machine]:
    """The campus, made."""
    machines, guests = made_up(random.Random(SEED))  # noqa: S311  # no secret
    assert (len(machines), len(guests)) == (NODES, PODS)
    make(machines, guests, [Sender(plane) for _ in range(CLIENTS)])
    return machines


WANTED = {
    "lone-gpus": {"extra_resource_limits": {GPU: "8"}, "extra_resource_guarantees": {GPU: "8"}, "cpu_guarantee": 1},
    "lone-cores": {"cpu_guarantee": 100},
    "lone-memory": {"mem_guarantee": "600G"},
}


@pytest.fixture(scope="module")
def house(plane: Cluster, machines: list[Machine]) -> Iterator[Site]:
    """A queue on it."""
    profiles = [
        {"display_name": name, "slug": name, "kubespawner_override": override} for name, override in WANTED.items()
    ]
    hub = f"c.QueueingMixin.profile_list = {profiles!r}"
    with queue_on(plane, plane.kubectl.within("notebooks"), hub_more=hub) as it:
        yield it


def test_what_is_free_on_each_of_all_nodes_is_what_it_has_less_what_its_pods_ask_for(
    plane: Cluster, machines: list[Machine]
) -> None:
    capacity = KubernetesCapacity(instance="0" * 16, kubeconfig=str(plane.kubectl.kubeconfig))

    def look() -> Observation | None:
        try:
            return capacity.look()
        except CapacityUnavailable:
            return None

    seen: Any = until(look, within=SYNC_S, what="all is listed")

    assert {node.name: node.allocatable.beyond(node.used) for node in seen.nodes} == {
        machine.name: machine.free for machine in machines
    }


def test_the_queue_knows_all_of_it_and_says_how_many_gpus_are_free(house: Site, machines: list[Machine]) -> None:
    """Whole ones and parts of shared ones, on every node."""
    dana = Visitor(house, "dana").login()

    found = dana.queue("GET", "nodes").json()["nodes"]

    free = {
        each["name"]: Counter(device["resource"] for device in each["devices"] if device["state"] == "free")
        for each in found
    }
    assert free == {machine.name: Counter(machine.free.gpus) for machine in machines}


@pytest.mark.parametrize("node", WANTED)
def test_what_fits_on_one_node_only_goes_there_and_the_scheduler_agrees(node: str, plane: Cluster, house: Site) -> None:
    """Eight GPUs, a hundred cores, 600 GB: an ended pod that once had them holds nothing."""
    notebooks: Kubectl = plane.kubectl.within("notebooks")
    ada = Visitor(house, f"ada.{node.partition('-')[2]}").login()

    ada.start(node)

    def bound() -> str:
        job = ada.job() or {}
        found = notebooks.all("pods", labels=f"{KEYS}job={job.get('id')}")
        return next((each["spec"].get("nodeName", "") for each in found), "")

    until(bound, within=SYNC_S, what="the scheduler has placed it", story=house.story)
    assert (bound(), (ada.job() or {})["placement"]["node"]) == (node, node)
    assert requests.get(house.manager_url + PREFIX + "health", timeout=20).json()["problem"] == ""

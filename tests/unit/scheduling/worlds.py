"""Small worlds for property tests: a few servers, jobs that run and jobs that wait, with many ties.

Each server and job grows from one number: Hypothesis draws 20 numbers a world rather than 200, which keeps a run of all
properties within seconds, and still finds the smallest world by leaving servers and jobs out.
"""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from gpuqueue_spawner.model import Constraints, Device, End, Job, Node, Placement, Resources, State, Taint, Toleration
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.scheduling import Limits, Snapshot

from .builders import GB, NOW, device, job

MIG = "nvidia.com/mig-1g.10gb"
USERS = ("anna", "ben", "cleo")
POOLS = ("red", "blue")
STATES = (State.ADMITTED, State.STARTING, State.RUNNING, State.RESTARTING, State.STOPPING)

seeds = st.integers(0, 2**32 - 1)
wishes = seeds.map(lambda seed: _wish(_chance(seed)))
demands = seeds.map(lambda seed: _demand(_chance(seed)))
any_limits = st.builds(Limits, running_jobs=st.none() | st.integers(0, 3), gpus=st.none() | st.integers(1, 6))
no_limits = st.just(Limits())


def snapshots(*, limits: st.SearchStrategy[Limits] = any_limits, delays: bool = True) -> st.SearchStrategy[Snapshot]:
    """A world. What runs holds devices that nobody else holds, foreign ones and overfull servers included."""
    return st.builds(
        _snapshot,
        nodes=st.lists(seeds, min_size=1, max_size=4),
        held=st.lists(seeds, max_size=6),
        waiting=st.lists(seeds, min_size=2, max_size=9),
        mixed=seeds,
        limits=limits,
        delays=st.just(delays),
    )


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # grows worlds, no secrets


def _snapshot(
    *, nodes: list[int], held: list[int], waiting: list[int], mixed: int, limits: Limits, delays: bool
) -> Snapshot:
    chance = _chance(mixed)
    servers = [_node(name, _chance(seed)) for name, seed in zip("abcd", nodes, strict=False)]
    unheld = [(node.name, device) for node in servers for device in node.devices]
    chance.shuffle(unheld)
    ids = iter(chance.sample(range(1, 21), 20))
    jobs = [_holding(next(ids), servers, unheld, _chance(seed)) for seed in held]
    jobs += [_waiting(next(ids), _chance(seed), delays=delays) for seed in waiting]
    chance.shuffle(servers)
    chance.shuffle(jobs)
    return Snapshot(nodes=tuple(servers), jobs=tuple(jobs), limits=limits)


def _node(name: str, chance: Random) -> Node:
    devices = [
        device(
            name,
            index,
            resource=chance.choice([NVIDIA_GPU] * 6 + [MIG]),
            foreign=chance.choice([""] * 6 + ["somebody uses it"]),
        )
        for index in range(chance.choice([0, 2, 4, 5]))
    ]
    chance.shuffle(devices)
    allocatable = Resources(cpus=chance.randint(8, 20) / 2, memory=chance.randint(4, 10) * GB)
    return Node(
        name=name,
        allocatable=allocatable,
        devices=tuple(devices),
        drained=chance.random() < 0.2,
        labels={"pool": chance.choice(POOLS)} if chance.random() < 0.8 else {},
        taints=(Taint(key="dedicated"),) if chance.random() < 0.2 else (),
    )


def _holding(id: int, servers: list[Node], unheld: list[tuple[str, Device]], chance: Random) -> Job:
    where = chance.choice([*(node.name for node in servers), "unknown"])
    mine = []
    if unheld and chance.random() < 0.7:
        where, held = unheld.pop()
        mine.append(held)
    return job(
        id,
        user=chance.choice(USERS),
        resources=Resources(
            cpus=chance.randint(0, 6) / 2, memory=chance.randint(0, 3) * GB, gpus={dev.resource: 1 for dev in mine}
        ),
        state=chance.choice(STATES),
        placement=Placement(node=where, devices=tuple(dev.id for dev in mine)),
        ends=chance.choice([None, *(NOW + 100.0 * n for n in range(-2, 6))]),
        end=chance.choice([None, End.STOPPED]),
        lease=chance.randint(1, 5) * 100.0,
    )


def _waiting(id: int, chance: Random, *, delays: bool) -> Job:
    return job(
        id,
        user=chance.choice(USERS),
        resources=_wish(chance),
        constraints=_demand(chance),
        queued=float(chance.randint(0, 3)),
        state=chance.choice([State.QUEUED] * 7 + [State.HELD]),
        lease=chance.randint(1, 5) * 100.0,
        not_before=chance.choice([0.0] * 4 + [NOW, NOW + 50, NOW + 150]) if delays else 0.0,
        failed_on=tuple(sorted(chance.sample("abcd", chance.choice([0] * 6 + [1, 2])))),
    )


def _wish(chance: Random) -> Resources:
    """Halves of cores are exact as floats, so that a brute-force sum is exact, too."""
    gpus = {NVIDIA_GPU: chance.choice([0, 0, 1, 1, 2, 3]), MIG: chance.choice([0] * 19 + [1])}
    return Resources(cpus=chance.randint(0, 8) / 2, memory=chance.randint(0, 4) * GB, gpus=gpus)


def _demand(chance: Random) -> Constraints:
    """Most jobs go anywhere but to tainted servers."""
    pool = chance.choice([None] * 4 + [*POOLS])
    return Constraints(
        selector=(("pool", pool),) if pool else (),
        tolerations=(Toleration(key="dedicated"),) if chance.random() < 0.3 else (),
    )

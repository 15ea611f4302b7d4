"""What runs where the books do not have it is not given out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpuqueue_spawner.capacity import Mark, Observation, Pod, Process
from gpuqueue_spawner.manager import strays
from gpuqueue_spawner.model import Device, Job, Node, Placement, Resources, State

GPU = "nvidia.com/gpu"
NODE = Node(
    name="dgx1",
    allocatable=Resources(cpus=64, memory=2**40, gpus={GPU: 4}),
    devices=tuple(Device(id=f"{GPU}/{number}", index=number) for number in range(4)),
)


def job(key: str, *devices: int, node: str = "dgx1", state: State = State.RUNNING) -> Job:
    placement = Placement(node=node, devices=tuple(f"{GPU}/{number}" for number in devices))
    need = Resources(cpus=1, gpus={GPU: len(devices)})
    fields: dict[str, Any] = {"user": "ada", "server": "", "request": key, "resources": need, "lease": 3600.0}
    moments: dict[str, Any] = {"version": 1, "submitted": 0.0, "queued": 0.0, "launch": 2}
    return Job(id=1, key=key, state=state, placement=placement, **fields, **moments)


def pod(node: str, gpus: int, launch: int = 2) -> Pod:
    return Pod(name="p", namespace="hub", node=node, launch=launch, resources=Resources(cpus=1, gpus={GPU: gpus}))


def free(node: Node, *jobs: Job) -> list[int]:
    held = {device for each in jobs if each.placement for device in each.placement.devices}
    return [device.index for device in node.devices if not device.foreign and device.id not in held]


def test_others_use_the_gpus_that_no_job_holds() -> None:
    """Only their number is known: those of jobs are not among them, the highest go first."""
    one = job("a", 3)
    seen = Observation(nodes=(replace(NODE, used=Resources(cpus=4, gpus={GPU: 2})),), jobs={"a": (pod("dgx1", 1),)})

    (node,) = strays.room(seen, [one])

    assert free(node, one) == [0]
    assert node.used.cpus == 4


def test_what_a_job_holds_on_one_node_says_nothing_of_another() -> None:
    """In a cluster the devices of each node have the same names."""
    one = job("a", 0, 1, 2, 3)
    other = replace(NODE, name="dgx2", used=Resources(gpus={GPU: 4}))
    seen = Observation(nodes=(NODE, other), jobs={"a": (pod("dgx1", 4),)})

    home, away = strays.room(seen, [one])

    assert (free(home, one), free(away)) == ([], [])


def test_a_gpu_that_does_not_work_is_not_given_out_whoever_has_it() -> None:
    """Which one, only its node knows: one that no job holds counts for it."""
    one, two = job("a", 0, 1), job("b", 2, 3)
    seen = Observation(nodes=(replace(NODE, broken=Resources(gpus={GPU: 1})),))

    (full,) = strays.room(seen, [one, two])
    (half,) = strays.room(seen, [two])

    assert free(full, one, two) == []
    assert (free(half, two), half.devices[1].foreign) == ([0], strays.BROKEN)


def test_a_pod_of_an_unknown_job_counts_where_it_runs() -> None:
    """After a restored backup; it is shown too."""
    seen = Observation(nodes=(NODE,), jobs={"unknown": (pod("dgx1", 3),)})

    (node,) = strays.room(seen, [])
    (stray,) = strays.strays(seen, [])

    assert free(node) == [0]
    assert (stray.key, stray.gpus, node.used.cpus) == ("unknown", 3, 1)


def test_a_pod_left_on_a_node_that_died_counts_there_though_its_job_is_elsewhere() -> None:
    """Until that node is seen without it."""
    moved = job("a", 0, 1, node="dgx2")
    seen = Observation(nodes=(NODE,), jobs={"a": (pod("dgx1", 2, launch=1), pod("dgx2", 2))})

    (node,) = strays.room(seen, [moved])

    assert free(node) == [0, 1]
    assert strays.strays(seen, [moved]) == ()


def test_of_an_admitted_job_nothing_may_run_yet() -> None:
    """What carries its mark was not permitted by this queue."""
    admitted = job("a", 0, state=State.ADMITTED)
    seen = Observation(nodes=(NODE,), jobs={"a": (pod("dgx1", 1),)})

    (node,) = strays.room(seen, [admitted])

    assert free(node, admitted) == [1, 2]
    assert [stray.key for stray in strays.strays(seen, [admitted])] == ["a"]


def test_a_process_of_an_unknown_job_holds_the_gpus_that_it_names() -> None:
    """On one machine its environment tells which."""
    process = Process(pid=7, started=1, uid=1000, command="python3")
    marked = {"unknown": Mark(launch=1, devices=(f"{GPU}/1",))}

    (node,) = strays.room(Observation(nodes=(NODE,), jobs={"unknown": (process,)}, marked=marked), [])

    assert free(node) == [0, 2, 3]


def test_a_pod_of_an_earlier_launch_counts_beside_the_job_s_own_on_the_same_node() -> None:
    """Half of the node is the job's, the other half is not free before the old pod is gone."""
    again = job("a", 0, 1)
    seen = Observation(nodes=(NODE,), jobs={"a": (pod("dgx1", 2, launch=1), pod("dgx1", 2, launch=2))})

    (node,) = strays.room(seen, [again])

    assert free(node, again) == []
    assert node.used.cpus == 1


def test_two_pods_of_one_launch_count_both() -> None:
    """However that came about: what runs is not free."""
    twice = job("a", 0, 1)
    seen = Observation(nodes=(NODE,), jobs={"a": (pod("dgx1", 2), pod("dgx1", 2))})

    (node,) = strays.room(seen, [twice])

    assert free(node, twice) == []


def test_a_pod_of_a_later_launch_than_the_queue_knows_of_is_its_job_s_own() -> None:
    """Of a restored backup: its GPUs are not counted twice."""
    restored = job("a", 0, 1)
    seen = Observation(nodes=(NODE,), jobs={"a": (pod("dgx1", 2, launch=7),)})

    (node,) = strays.room(seen, [restored])

    assert free(node, restored) == [2, 3]


@pytest.mark.parametrize(
    ("takes", "beyond"),
    [
        (Resources(cpus=4, memory=3, gpus={GPU: 1}), Resources(cpus=2.5, memory=2)),
        (Resources(cpus=1, memory=1, gpus={GPU: 1}), Resources()),
    ],
    ids=["more", "less"],
)
def test_what_a_cluster_adds_to_a_pod_is_not_free(takes: Resources, beyond: Resources) -> None:
    """A runtime's overhead, a namespace's default requests, an injected container: its scheduler counts them all."""
    asks = Resources(cpus=1.5, memory=1, gpus={GPU: 1})
    one = replace(job("a", 0), resources=asks)
    seen = Observation(nodes=(NODE,), jobs={"a": (replace(pod("dgx1", 1), resources=takes),)})

    (node,) = strays.room(seen, [one])

    assert node.used == beyond
    assert free(node, one) == [1, 2, 3]

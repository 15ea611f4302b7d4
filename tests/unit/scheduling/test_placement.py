"""Which server and which devices a job gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuqueue_spawner.model import Node, ReasonCode, Resources
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.scheduling import Limits

from .builders import GB, admitted, device, hours, job, node, plan_of, running

MIG = "nvidia.com/mig-1g.10gb"


def test_a_job_goes_where_the_fewest_gpus_are_free():
    """Best fit, so that whole servers stay whole."""
    nodes = [node("dgx1", gpus=8), node("dgx2", gpus=8), node("dgx3", gpus=8)]

    result = plan_of(
        nodes, [running(1, on="dgx2", indexes=range(4)), running(2, on="dgx3", indexes=range(7)), job(3, gpus=2)]
    )

    assert admitted(result) == {3: "dgx2"}


def test_equally_good_servers_are_taken_by_name():
    """Same input, same plan."""
    result = plan_of([node("b", gpus=8), node("a", gpus=8)], [job(1, gpus=2)])

    assert admitted(result) == {1: "a"}


def test_a_server_whose_memory_is_given_out_is_passed_over():
    """GPUs alone do not make room."""
    nodes = [node("dgx1", gpus=2, memory=100), node("dgx2", gpus=8, memory=100)]

    result = plan_of(nodes, [running(1, on="dgx1", memory=60), job(2, gpus=1, memory=50)])

    assert admitted(result) == {2: "dgx2"}


def test_a_job_without_gpus_goes_to_a_server_without_gpus():
    """CPUs beside GPUs are kept for those who need both, also where they would fit better."""
    nodes = [node("a", gpus=8, cpus=4), node("b", cpus=64), node("c", cpus=32)]

    result = plan_of(nodes, [job(1, cpus=4)])

    assert admitted(result) == {1: "c"}


def test_a_job_without_gpus_takes_a_gpu_server_if_no_other_has_room():
    """An idle server is not kept idle."""
    result = plan_of([node("a", gpus=8, cpus=64), node("b", cpus=2)], [job(1, cpus=4)])

    assert admitted(result) == {1: "a"}


def test_a_job_without_gpus_fits_by_cpus_then_by_memory_then_by_name():
    """The best fit is the one that leaves the least."""
    nodes = [
        node("a", cpus=8, memory=64),
        node("b", cpus=8, memory=32),
        node("c", cpus=8, memory=32),
        node("d", cpus=8, memory=8),
    ]

    result = plan_of(nodes, [job(1, cpus=2, memory=16)])

    assert admitted(result) == {1: "b"}


def test_drained_servers_take_nothing_new():
    """They keep their jobs, and what comes free there stays free."""
    result = plan_of([node("dgx1", gpus=2, drained=True), node("dgx2", gpus=8)], [job(1, gpus=1), job(2)])

    assert admitted(result) == {1: "dgx2", 2: "dgx2"}


def test_devices_in_foreign_use_are_not_given_out():
    """Not those that somebody uses, and not those that another job holds."""
    result = plan_of([node("dgx1", gpus=5, foreign=[0, 3])], [running(1, on="dgx1", indexes=[1]), job(2, gpus=2)])

    assert result.admissions[0].placement.devices == ("dgx1/2", "dgx1/4")


def test_devices_are_chosen_by_index_and_not_by_name():
    """10 comes after 9."""
    devices = tuple(device("dgx1", index) for index in (10, 9, 11))

    result = plan_of([node("dgx1", devices=devices)], [job(1, gpus=2)])

    assert result.admissions[0].placement.devices == ("dgx1/9", "dgx1/10")


def test_kinds_of_gpus_are_counted_apart():
    """A job gets what it asked for, on one server, sorted by index."""
    mixed = (device("b", 0, resource=MIG), device("b", 1), device("b", 2, resource=MIG))
    nodes = [node("a", gpus=8), node("b", devices=mixed)]

    result = plan_of(nodes, [job(1, kinds={NVIDIA_GPU: 1, MIG: 2}), job(2, kinds={MIG: 1})])

    assert admitted(result) == {1: "b"}
    assert result.admissions[0].placement.devices == ("b/0", "b/1", "b/2")


def test_fractions_of_cores_do_not_drift():
    """Ten tenths are one core, in any order and after any number of sums."""
    small = node("a", allocatable=Resources(cpus=1, memory=GB * 512))

    result = plan_of([small], [job(n, cpus=0.1) for n in range(1, 12)])

    assert list(admitted(result)) == list(range(1, 11))


@pytest.mark.parametrize("need", [{"gpus": 2}, {}], ids=["with GPUs", "without"])
def test_a_job_whose_launch_failed_goes_to_another_server_where_there_is_one(need: dict[str, int]):
    """The fault may be that server's."""
    nodes = [node("dgx1", gpus=8, cpus=32), node("dgx2", gpus=8), node("dgx3", gpus=8)]
    busy = [running(1, on="dgx1", indexes=range(4)), running(2, on="dgx3", indexes=range(2))]

    assert admitted(plan_of(nodes, [*busy, job(3, **need)])) == {3: "dgx1"}
    assert admitted(plan_of(nodes, [*busy, job(3, failed_on=("dgx1",), **need)])) == {3: "dgx3"}
    assert admitted(plan_of(nodes, [*busy, job(3, failed_on=("dgx1", "dgx3"), **need)])) == {3: "dgx2"}


@pytest.mark.parametrize("need", [{"gpus": 2}, {}], ids=["with GPUs", "without"])
def test_it_is_tried_again_on_the_same_server_rather_than_to_wait(need: dict[str, int]):
    """Where no other has room, or there is none."""
    nodes = [node("dgx1", gpus=8), node("dgx2", gpus=1, cpus=0)]

    assert admitted(plan_of(nodes, [job(3, failed_on=("dgx1",), **need)])) == {3: "dgx1"}


IB = "rdma/ib"


@pytest.mark.parametrize("gpus", [0, 1])
def test_what_is_no_gpu_decides_where_a_job_fits_too(gpus: int):
    """A network device, a place for a pod: a server that is full of them is not chosen."""

    def with_devices(name: str, count: int) -> Node:
        it = node(name, gpus=8)
        return replace(it, allocatable=replace(it.allocatable, others={IB: count}), used=Resources(others={IB: 1}))

    wish = {NVIDIA_GPU: gpus}
    both = {"resources": Resources(gpus=wish, others={IB: 1})}
    nodes = [node("a", gpus=8), with_devices("b", 1), with_devices("c", 2), with_devices("d", 3)]

    result = plan_of(nodes, [job(1, **both), job(2, **both), job(3, **both), job(4, **both)])

    assert admitted(result) == {1: "c", 2: "d", 3: "d"}
    assert result.waits[4].reason.lead == f"Waits for 1 {IB} on one server."
    assert result.waits[4].reason.proof == "None is free on any server it can use."


def test_a_device_that_is_no_gpu_comes_back_with_the_job_that_held_it():
    it = node("a", gpus=2)
    full = replace(it, allocatable=replace(it.allocatable, others={IB: 1}))
    wish = Resources(others={IB: 1})

    result = plan_of([full], [running(1, on="a", hours=2, resources=wish), job(2, resources=wish)])

    assert hours(result) == {2: 2}


def test_what_is_no_gpu_counts_for_nobody_s_limit_of_gpus():
    """Eight GPUs with eight network devices are eight GPUs."""
    it = node("a", gpus=8)
    large = replace(it, allocatable=replace(it.allocatable, others={IB: 8}))
    wish = Resources(gpus={NVIDIA_GPU: 8}, others={IB: 8})

    result = plan_of([large], [job(1, resources=wish)], limits=Limits(gpus=8))

    assert admitted(result) == {1: "a"}


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({IB: 9}, "9 rdma/ib, up to 8 rdma/ib is possible."),
        ({"ephemeral-storage": 2**30}, "1 GB of ephemeral-storage, none is possible."),
    ],
)
def test_more_than_any_server_has_of_it_fits_nowhere(others: dict[str, int], words: str):
    it = node("a", gpus=8)
    nodes = [replace(it, allocatable=replace(it.allocatable, others={IB: 8}))]

    reason = plan_of(nodes, [job(1, resources=Resources(others=others))]).waits[1].reason

    assert (reason.code, reason.lead) == (ReasonCode.NEVER_FITS, f"Fits nowhere as it is: {words}")


def test_a_cluster_whose_nodes_run_as_many_as_they_may_is_said_to():
    it = node("a", gpus=8)
    full = replace(it, allocatable=replace(it.allocatable, others={"pods": 110}), used=Resources(others={"pods": 110}))

    reason = plan_of([full], [job(1, resources=Resources(others={"pods": 1}))]).waits[1].reason

    assert (reason.lead, reason.proof) == ("Waits for a server that may run one more.", "Each runs as many as it may.")

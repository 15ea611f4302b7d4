"""What a pod takes from its node, by the rules of the kube-scheduler."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model.pods import as_resources, pod_resources, quantity, refuse_impossible
from gpuqueue_spawner.model.resources import InvalidResources

GPU = "nvidia.com/gpu"


def container(cpu: str = "", gpus: int = 0, *, limits: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    requests: dict[str, Any] = {"cpu": cpu} if cpu else {}
    if gpus:
        requests[GPU] = gpus
    return {"name": "c", "resources": {"requests": requests, "limits": limits or {}}, **more}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1500m", "1.5"),
        ("8Gi", str(8 * 2**30)),
        ("8G", "8000000000"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", str(10**18)),
        ("128974848000m", "128974848"),
        ("100n", "0.0000001"),
        (4, "4"),
        ("+2", "2"),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: object, value: str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "8GB", "1.5.2", "Gi", "-1", "0x10", " 1", "1 ", None, True, [], "1e", "1e999", "٣", "1\n"]
)
def test_what_is_no_quantity_is_named(text: object) -> None:
    """Field, value and what is allowed."""
    with pytest.raises(InvalidResources) as error:
        quantity(text, field="requests.cpu")
    assert error.value.field == "requests.cpu"
    assert error.value.value == text


def test_part_of_a_device_is_refused() -> None:
    """As the API server does."""
    with pytest.raises(InvalidResources) as error:
        as_resources({GPU: "0.5"})
    assert (error.value.field, error.value.allowed) == (GPU, "a whole number of devices")


def test_a_limit_counts_where_there_is_no_request() -> None:
    """GPUs are often given as a limit only; a request that is there wins."""
    need = pod_resources({"containers": [container("1", limits={"cpu": "4", "memory": "2Gi", GPU: "2"})]})

    assert (need.cpus, need.memory, dict(need.gpus)) == (1.0, 2 * 2**30, {GPU: 2})


def test_the_largest_init_container_counts_if_it_needs_more_than_the_rest() -> None:
    """It runs alone, before the others."""
    spec = {"containers": [container("1", 2), container("1")], "initContainers": [container("8"), container("1", 1)]}

    need = pod_resources(spec)

    assert (need.cpus, dict(need.gpus)) == (8.0, {GPU: 2})


def test_a_sidecar_runs_beside_everything_that_starts_after_it() -> None:
    """An init container that is restarted always stays (KEP-753)."""
    sidecar = container("2", restartPolicy="Always")
    before = {"containers": [container("1")], "initContainers": [container("5"), sidecar]}
    after = {"containers": [container("1")], "initContainers": [sidecar, container("5")]}

    assert pod_resources(before).cpus == 5.0
    assert pod_resources(after).cpus == 7.0


def test_overhead_is_added_and_pod_level_requests_replace_the_sum() -> None:
    """A sandboxed runtime's overhead, and KEP-2837."""
    spec = {
        "containers": [container("1", 1)],
        "overhead": {"cpu": "250m"},
        "resources": {"requests": {"cpu": "3"}},
    }

    need = pod_resources(spec)

    assert (need.cpus, dict(need.gpus)) == (3.25, {GPU: 1})


def test_only_gpus_are_gpus_and_all_else_is_counted_by_its_name() -> None:
    """Neither disk nor huge pages, nor what else a device plugin counts: eight network devices are no GPUs."""
    names = {"ephemeral-storage": "1Gi", "hugepages-2Mi": "2Mi", "pods": "110", "kubernetes.io/batch-cpu": 3}
    devices = {"rdma/ib": 8, "nvidia.com/hostdev": 2, "devices.kubevirt.io/kvm": "1k"}
    gpus = {"nvidia.com/gpu": 2, "nvidia.com/mig-1g.10gb": 2, "amd.com/gpu": 1, "gpu.intel.com/xe": 1, "x.org/gpu": 1}

    found = as_resources({"cpu": 1, "memory": 1, **names, **devices, **gpus})

    assert (dict(found.gpus), found.gpu_count) == (gpus, 7)
    assert dict(found.others) == {
        "ephemeral-storage": 2**30,
        "hugepages-2Mi": 2**21,
        "pods": 110,
        "kubernetes.io/batch-cpu": 3,
        "rdma/ib": 8,
        "nvidia.com/hostdev": 2,
        "devices.kubevirt.io/kvm": 1000,
    }


def test_a_pod_takes_one_of_the_places_for_pods_and_all_that_it_asks_for() -> None:
    need = pod_resources(
        {"containers": [container("1", limits={"cpu": "1", "rdma/ib": "2", "ephemeral-storage": "1G"})]}
    )

    assert dict(need.others) == {"pods": 1, "rdma/ib": 2, "ephemeral-storage": 10**9}


def asks(requests: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    return {"name": "notebook", "resources": {"requests": requests, "limits": limits}}


@pytest.mark.parametrize(
    ("requests", "limits", "field", "allowed"),
    [
        ({"memory": "16Gi"}, {"memory": "8Gi"}, "requests.memory of container notebook", "at most its limit, 8Gi"),
        ({"cpu": "1500m"}, {"cpu": 1}, "requests.cpu of container notebook", "at most its limit, 1"),
        ({GPU: "2"}, {GPU: "4"}, f"requests.{GPU} of container notebook", "the same as its limit, 4"),
        ({GPU: "2"}, {}, f"requests.{GPU} of container notebook", "what a limit for it says; there is none"),
    ],
)
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_a_request_that_no_api_server_takes_is_refused_before_it_waits(
    requests: dict[str, Any], limits: dict[str, Any], field: str, allowed: str, where: str
) -> None:
    """Field, value and what is allowed. tests/cluster/test_bad_input.py shows that the API server refuses the same."""
    with pytest.raises(InvalidResources) as error:
        refuse_impossible({where: [asks(requests, limits)]})

    assert (error.value.field, error.value.value, error.value.allowed) == (
        field,
        next(iter(requests.values())),
        allowed,
    )


@pytest.mark.parametrize(
    ("requests", "limits"),
    [
        ({}, {}),
        ({}, {GPU: "4"}),
        ({GPU: 2}, {GPU: "2"}),
        ({"memory": "8Gi", "cpu": "1500m"}, {"memory": "8Gi", "cpu": "1.5"}),
        ({"cpu": "8"}, {"memory": "1Gi"}),
    ],
)
def test_a_request_up_to_its_limit_is_taken(requests: dict[str, Any], limits: dict[str, Any]) -> None:
    refuse_impossible({"containers": [asks(requests, limits)], "resources": {"requests": {"cpu": "8"}}})


@given(
    st.lists(st.integers(0, 64), max_size=4),
    st.lists(st.tuples(st.integers(0, 64), st.booleans()), max_size=5),
)
def test_at_every_moment_what_runs_fits_into_what_is_counted(main: list[int], inits: list[tuple[int, bool]]) -> None:
    """Checked against the pod's life, step by step."""
    spec = {
        "containers": [container(str(cpu)) for cpu in main],
        "initContainers": [container(str(cpu), **({"restartPolicy": "Always"} if stay else {})) for cpu, stay in inits],
    }
    sidecars, peak = 0, 0
    for cpu, stay in inits:
        peak = max(peak, sidecars + cpu)
        sidecars += cpu if stay else 0
    peak = max(peak, sidecars + sum(main))

    assert pod_resources(spec).cpus == peak

"""This machine as the manager sees it."""

from __future__ import annotations

import os
import threading
from typing import Any

import psutil
import pytest
from traitlets import TraitError
from traitlets.config import Config

from gpuqueue_spawner.capacity import Capacity, LocalCapacity, Mark
from gpuqueue_spawner.capacity.devices import Gpu
from gpuqueue_spawner.model import Device, Resources
from gpuqueue_spawner.model.resources import NVIDIA_GPU

from .conftest import Installation, eventually


class OneGpu(LocalCapacity):
    """A machine with another vendor's GPU, as a site would write it."""

    users: tuple[int, ...] = ()

    def read_gpus(self) -> tuple[Gpu, ...]:
        """One GPU, used by whom the test says."""
        return (Gpu(device=Device(id="GPU-a", index=0, resource="amd.com/gpu"), pids=self.users),)


def capacity(**traits: Any) -> LocalCapacity:
    """A machine with simulated GPUs."""
    return LocalCapacity(**{"instance": "inst", "node_name": "here", "simulated_gpus": 2, **traits})


class TestSettings:
    """What a site may set."""

    def test_by_default_jobs_get_all_cores_and_most_of_the_memory(self) -> None:
        """A busy core is shared; used up memory ends programs, the Hub among them."""
        (node,) = capacity().look().nodes

        assert node.allocatable.cpus == len(os.sched_getaffinity(0))
        assert node.allocatable.memory == pytest.approx(0.9 * psutil.virtual_memory().total, rel=0.001)

    def test_settings_of_a_configuration_file_are_taken(self) -> None:
        """Memory may be written with a suffix, as in other settings of a Hub."""
        settings = Config(
            {
                "LocalCapacity": {
                    "cpus": 4,
                    "memory": "16G",
                    "simulated_gpus": 3,
                    "gpu_model": "V100",
                    "node_name": "dgx",
                }
            }
        )

        (node,) = LocalCapacity(instance="inst", config=settings).look().nodes

        assert (node.name, [device.model for device in node.devices]) == ("dgx", ["V100"] * 3)
        assert node.allocatable == Resources(cpus=4, memory=16 << 30, gpus={NVIDIA_GPU: 3})

    @pytest.mark.parametrize(
        ("trait", "value"),
        [
            ("simulated_gpus", -1),
            ("simulated_gpus", 5000),
            ("simulated_gpus", "many"),
            ("cpus", 0),
            ("cpus", float("inf")),
            ("cpus", float("nan")),
            ("memory", 0),
            ("memory", "-1"),
            ("memory", "much"),
            ("node_name", " "),
            ("instance", "../x"),
            ("instance", ""),
        ],
    )
    def test_a_value_that_cannot_be_is_refused_at_the_start(self, trait: str, value: object) -> None:
        """The error names the trait and the value."""
        with pytest.raises(TraitError, match=r"instance|" + trait):
            capacity(**{trait: value})


class TestLooking:
    """What one look tells."""

    def test_simulated_gpus_are_counted_and_nobody_uses_them(self) -> None:
        """A machine without GPUs can be one with GPUs, to try the queue."""
        node_capacity = capacity()

        (node,) = node_capacity.look().nodes

        assert node.allocatable.gpus == {NVIDIA_GPU: 2}
        assert [(device.index, device.foreign) for device in node.devices] == [(0, ""), (1, "")]
        assert node_capacity.about() == "2 simulated GPUs"

    def test_a_launched_job_is_seen_until_its_last_process_is_gone(self, plain: Installation) -> None:
        """Launch, claim, look, end, release: the whole round as the manager makes it."""
        machine = capacity(instance=plain.instance)
        plain.cgroups = machine._table.cgroups
        program = plain.launch("k1", "setsid SLEEP & SLEEP; exit", launch=2, gpus="GPU-a")
        eventually(lambda: len(machine.look().jobs.get("k1", ())) == 3)

        first = machine.look().jobs["k1"][0]
        assert machine.adopt("k1", pid=program.pid, started=first.started, launch=2, devices=["GPU-a"])
        assert machine.look().marked == {"k1": Mark(launch=2, devices=("GPU-a",))}
        assert machine.prepared() == (("k1",) if os.geteuid() == 0 else ())

        assert machine.end("k1", grace=5)
        assert not {"k1"} & (machine.look().jobs.keys() | machine.look().marked.keys())
        machine.release("k1")
        assert machine.prepared() == ()

    def test_a_gpu_that_a_stranger_uses_is_not_free(self, plain: Installation) -> None:
        """Other vendors' GPUs too: a site overrides one method."""
        machine = OneGpu(instance=plain.instance)
        program = plain.run("SLEEP; exit")
        machine.users = (program.pid,)

        (node,) = machine.look().nodes

        assert node.devices[0].foreign == f"pid {program.pid} (sh, uid {os.getuid()}) uses it"
        assert node.allocatable.gpus == {"amd.com/gpu": 1}

    @pytest.mark.parametrize(("gpus", "free"), [("GPU-a", True), ("GPU-b", False), ("", False)])
    def test_a_job_uses_the_gpus_it_was_given(self, plain: Installation, gpus: str, free: bool) -> None:
        """Its own GPU is not in foreign hands; one that it was not given is."""
        machine = OneGpu(instance=plain.instance)
        program = plain.launch("k1", "echo; SLEEP; exit", gpus=gpus)
        program.stdout.readline()  # type: ignore[union-attr]
        machine.users = (program.pid,)

        (node,) = machine.look().nodes

        assert bool(node.devices[0].foreign) is not free

    def test_what_was_given_out_counts_more_than_what_a_job_says(self, plain: Installation) -> None:
        """A job can write into environments; the manager knows better."""
        machine = OneGpu(instance=plain.instance)
        program = plain.launch(
            "k1", f"GPUQUEUE_JOB={plain.instance}/k1/99 GPUQUEUE_GPUS=GPU-a sh -c 'echo; SLEEP; exit'"
        )
        program.stdout.readline()  # type: ignore[union-attr]
        first = machine.look().jobs["k1"][0]
        machine.users = (first.pid,)

        assert machine.adopt("k1", pid=first.pid, started=first.started, devices=["GPU-b"])

        assert "not given" in machine.look().nodes[0].devices[0].foreign

    def test_a_program_may_call_itself_anything(self, plain: Installation) -> None:
        """Names are shown on pages and in logs: what cannot be printed is not."""
        machine = OneGpu(instance=plain.instance)
        code = "printf 'a)\\n<b> 9' > /proc/self/task/$$/comm; echo; read line"
        program = plain.run(code)
        program.stdout.readline()  # type: ignore[union-attr]
        machine.users = (program.pid,)

        (node,) = machine.look().nodes

        assert "(a)?<b> 9, uid" in node.devices[0].foreign

    def test_many_threads_may_look_at_once(self, plain: Installation) -> None:
        """A look that was given up on, a sweep and the next look run side by side."""
        machine = capacity(instance=plain.instance)
        plain.launch("k1", "SLEEP; exit")
        eventually(lambda: len(machine.look().jobs.get("k1", ())) == 2)
        seen: list[int] = []

        threads = [threading.Thread(target=lambda: seen.append(len(machine.look().jobs["k1"]))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert seen == [2] * 8


def test_a_new_kind_of_capacity_need_not_prepare_anything() -> None:
    """The seams that most places do without have an answer."""
    somewhere = Capacity(instance="inst")

    somewhere.release("k1")

    assert (somewhere.prepare("k1"), somewhere.prepared(), somewhere.about()) == ((), (), "")

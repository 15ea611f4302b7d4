"""When a GPU may be given out, and the words when not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gpuqueue_spawner.capacity import Process, simulated
from gpuqueue_spawner.capacity.devices import Gpu, judge
from gpuqueue_spawner.model import Device

SEEN = {
    pid: Process(pid=pid, started=pid, uid=1000, command=command)
    for pid, command in {10: "python3", 11: "python3", 12: "blender", 13: "Xorg", 14: "jupyter"}.items()
}
OWNERS = {14: "k1"}


def foreign(given: tuple[str, ...] = (), **gpu: Any) -> str:
    """What is said of a GPU `GPU-a`; job k1, which has pid 14, was given `given`."""
    device = Device(id="GPU-a", index=0)
    return judge(
        Gpu(device=device, **gpu), owners=OWNERS, given={"k1": given}, displays=("Xorg",), describe=SEEN.get
    ).foreign


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        ({}, ""),
        ({"pids": (10,)}, "pid 10 (python3, uid 1000) uses it"),
        ({"pids": (11, 10, 10)}, "pid 10 (python3, uid 1000) and pid 11 (python3, uid 1000) use it"),
        ({"pids": (10, 11, 12, 99)}, "pid 10 (python3, uid 1000), pid 11 (python3, uid 1000) and 2 more use it"),
        ({"pids": (99,)}, "pid 99 (not visible from here) uses it"),
        ({"drawing": (12,)}, "pid 12 (blender, uid 1000) uses it"),
        ({"drawing": (13,)}, ""),
        ({"drawing": (13,), "pids": (13,)}, "pid 13 (Xorg, uid 1000) uses it"),
        ({"pids": (14,)}, "pid 14 (jupyter, uid 1000) of a job that was not given it uses it"),
        ({"pids": (14,), "given": ("GPU-b", "GPU-a")}, ""),
        ({"broken": "does not answer: GPU is lost", "pids": (10,)}, "does not answer: GPU is lost"),
        ({"unfit": "has MIG enabled"}, "has MIG enabled"),
    ],
)
def test_a_gpu_is_free_unless_somebody_else_uses_it(gpu: dict[str, Any], words: str) -> None:
    """A stranger, a job that was given another GPU and a sick driver are told apart; a screen is no obstacle."""
    assert foreign(**gpu) == words


def test_simulated_gpus_are_the_same_after_every_restart() -> None:
    """Jobs that run over a restart hold GPUs by these ids, so they never change, not even with the number of GPUs."""
    first, second = simulated.gpus(node="dgx1", count=2, model="Simulated V100")

    assert first.device == Device(id="GPU-daa0716a-8db0-55b3-9747-6ce42a6e9df6", index=0, model="Simulated V100")
    assert simulated.gpus(node="dgx1", count=3, model="Simulated V100")[:2] == (first, second)
    assert simulated.gpus(node="dgx2", count=1, model="")[0].device.id != first.device.id
    assert re.fullmatch(r"GPU(-[0-9a-f]{4,12}){5}", second.device.id)

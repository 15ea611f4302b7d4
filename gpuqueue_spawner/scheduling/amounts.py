"""CPUs, memory, GPUs and the rest in whole numbers, of a job or of a server.

Sums of floats drift, and a forecast adds and subtracts thousands of times: cores are counted in millionths.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..model import Node, Resources

MICRO = 1_000_000  # parts of a core: finer than any control group divides one


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """What a job asks for, or what a server has."""

    cpus: int  #: millionths of a core
    memory: int  #: bytes
    gpus: tuple[tuple[str, int], ...]  #: resource name and count, by name
    gpu_count: int  #: of every name together
    others: tuple[tuple[str, int], ...] = ()  #: what else is counted: resource name and amount, by name

    @classmethod
    def of(cls, resources: Resources) -> Amount:
        """Count what a job asks for."""
        return cls(
            cpus=round(resources.cpus * MICRO),
            memory=resources.memory,
            gpus=tuple(resources.gpus.items()),
            gpu_count=resources.gpu_count,
            others=tuple(resources.others.items()),
        )

    @classmethod
    def of_node(cls, node: Node) -> Amount:
        """Count what a node has when nothing runs there. GPUs are those that it lists as devices."""
        return cls(
            cpus=round(node.allocatable.cpus * MICRO),
            memory=node.allocatable.memory,
            gpus=tuple(sorted(Counter(device.resource for device in node.devices).items())),
            gpu_count=len(node.devices),
            others=tuple(node.allocatable.others.items()),
        )

    def of_kind(self, name: str) -> int:
        """GPUs of one resource name."""
        return next((count for kind, count in self.gpus if kind == name), 0)

    def of_other(self, name: str) -> int:
        """How much there is of what is no GPU."""
        return next((count for kind, count in self.others if kind == name), 0)

    def within(self, room: Amount) -> bool:
        """Whether there is as much of everything in `room`."""
        return (
            self.cpus <= room.cpus
            and self.memory <= room.memory
            and all(count <= room.of_kind(name) for name, count in self.gpus)
            and all(count <= room.of_other(name) for name, count in self.others)
        )

"""What a job asks for and what a node has: CPUs, memory, GPUs and whatever else is counted, by resource name.

Knows arithmetic only. How resources are read off a profile: spawner/profiles.py; off this machine: capacity/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NVIDIA_GPU = "nvidia.com/gpu"  #: the resource name of the NVIDIA device plugin, used on one machine too


class InvalidResources(ValueError):
    """A number that no job may ask for; knows the field, the value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}; allowed is {allowed}")
        self.field, self.value, self.allowed = field, value, allowed


@dataclass(frozen=True, kw_only=True)
class Resources:
    """An amount of each resource. Zero amounts by name are dropped, so equal amounts are equal records.

    :raises InvalidResources: a negative, infinite or fractional amount.
    """

    cpus: float = 0.0  #: cores
    memory: int = 0  #: bytes
    gpus: Mapping[str, int] = field(default_factory=dict)  #: devices by resource name, e.g. {"nvidia.com/gpu": 4}
    #: what decides where it fits and is nobody's GPU: network devices, places for pods, bytes of a node's own disk
    others: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.cpus, bool) or not isinstance(self.cpus, int | float) or not 0 <= self.cpus < math.inf:
            raise InvalidResources("cpus", self.cpus, "a number of cores, 0 or more")
        if not _is_count(self.memory):
            raise InvalidResources("memory", self.memory, "a whole number of bytes, 0 or more")
        object.__setattr__(self, "cpus", float(self.cpus))
        object.__setattr__(self, "gpus", _counts(self.gpus, "a whole number of GPUs, 0 or more"))
        object.__setattr__(self, "others", _counts(self.others, "a whole number, 0 or more"))

    def __hash__(self) -> int:
        return hash((self.cpus, self.memory, tuple(self.gpus.items()), tuple(self.others.items())))

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _rebuild,
            (self.cpus, self.memory, dict(self.gpus), dict(self.others)),
        )  # a mappingproxy cannot be pickled or deep-copied

    @property
    def gpu_count(self) -> int:
        """GPUs of every resource name together."""
        return sum(self.gpus.values())

    def __str__(self) -> str:
        gpus = [f"{count} {name}" for name, count in self.gpus.items()]
        return ", ".join([*gpus, f"{self.cpus:g} CPUs", f"{self.memory / 2**30:.3g} GiB"])

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            cpus=self.cpus + other.cpus,
            memory=self.memory + other.memory,
            gpus=_sum(self.gpus, other.gpus),
            others=_sum(self.others, other.others),
        )

    def beyond(self, other: Resources) -> Resources:
        """Of each amount, what is more than the same amount of `other`."""
        return Resources(
            cpus=max(0.0, self.cpus - other.cpus),
            memory=max(0, self.memory - other.memory),
            gpus=_beyond(self.gpus, other.gpus),
            others=_beyond(self.others, other.others),
        )

    def fits_in(self, room: Resources) -> bool:
        """Whether every amount is at most the same amount of `room`."""
        return (
            self.cpus <= room.cpus
            and self.memory <= room.memory
            and all(count <= room.gpus.get(name, 0) for name, count in self.gpus.items())
            and all(count <= room.others.get(name, 0) for name, count in self.others.items())
        )


def _counts(given: Mapping[str, int], allowed: str) -> Mapping[str, int]:
    for name, count in given.items():
        if not _is_count(count):
            raise InvalidResources(name, count, allowed)
    return MappingProxyType({name: given[name] for name in sorted(given) if given[name]})


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {*one, *other}}


def _beyond(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(0, count - other.get(name, 0)) for name, count in one.items()}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _rebuild(cpus: float, memory: int, gpus: dict[str, int], others: dict[str, int]) -> Resources:
    return Resources(cpus=cpus, memory=memory, gpus=gpus, others=others)

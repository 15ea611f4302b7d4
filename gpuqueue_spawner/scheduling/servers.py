"""One server and what is free on it.

Knows a node and whole numbers. Which server a job gets: placement.py. Who holds what: occupancy.py.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterable

from ..model import Device, Node
from .amounts import Amount


class Server:
    """A node and what is free on it. GPUs are those that the node lists as devices, and are known by index and id."""

    __slots__ = ("_devices", "_holders", "cpus", "drained", "foreign", "free", "memory", "name", "others", "whole")

    def __init__(self, node: Node) -> None:
        self.name = node.name
        self.drained = node.drained
        self.whole = Amount.of_node(node)  #: when nothing runs here
        used = Amount.of(node.used)  # its GPUs are among the devices, in foreign use
        self.cpus = self.whole.cpus - used.cpus  #: free, millionths of a core; negative: more is in use than there is
        self.memory = self.whole.memory - used.memory  #: free, bytes
        self.others = dict(self.whole.others)  #: free, of what is counted by name and no GPU
        for name, count in used.others:
            self.others[name] = self.others.get(name, 0) - count
        self.free: dict[str, list[tuple[int, str]]] = {}  #: resource name: what may be given out, by index
        self.foreign: dict[str, list[tuple[int, str]]] = {}  #: resource name: used from outside the queue, by index
        self._devices: dict[str, Device] = {}
        self._holders: Counter[str] = Counter()  # more than one only in a damaged database: free when the last one ends
        for device in sorted(node.devices, key=lambda device: (device.index, device.id)):
            kind = self.foreign if device.foreign else self.free
            kind.setdefault(device.resource, []).append((device.index, device.id))
            self._devices[device.id] = device

    def fits(self, need: Amount) -> bool:
        """Whether all of it is free here."""
        return (
            need.cpus <= self.cpus
            and need.memory <= self.memory
            and all(len(self.free.get(name, ())) >= count for name, count in need.gpus)
            and all(self.others.get(name, 0) >= count for name, count in need.others)
        )

    def would_fit(self, need: Amount) -> bool:
        """Whether all of it would be free here if nobody outside the queue used a GPU."""
        return (
            need.cpus <= self.cpus
            and need.memory <= self.memory
            and all(self.count(name) + len(self.foreign.get(name, ())) >= count for name, count in need.gpus)
            and all(self.others.get(name, 0) >= count for name, count in need.others)
        )

    def count(self, name: str) -> int:
        """Free GPUs of one resource name."""
        return len(self.free.get(name, ()))

    def choose(self, need: Amount) -> tuple[str, ...]:
        """The devices a job would get: of each kind those with the lowest index."""
        chosen = [device for name, count in need.gpus for device in self.free[name][:count]]
        return tuple(id for _, id in sorted(chosen))

    def take(self, need: Amount, devices: Iterable[str]) -> None:
        """Give out a job's share. Devices that are not listed any more change nothing."""
        self.cpus -= need.cpus
        self.memory -= need.memory
        for name, count in need.others:
            self.others[name] = self.others.get(name, 0) - count
        for device in self._known(devices):
            self._holders[device.id] += 1
            if self._holders[device.id] == 1:
                self._slots(device).remove((device.index, device.id))

    def give_back(self, need: Amount, devices: Iterable[str]) -> None:
        """Take a job's share back."""
        self.cpus += need.cpus
        self.memory += need.memory
        for name, count in need.others:
            self.others[name] = self.others.get(name, 0) + count
        for device in self._known(devices):
            self._holders[device.id] -= 1
            if not self._holders[device.id]:
                insort(self._slots(device), (device.index, device.id))

    def _slots(self, device: Device) -> list[tuple[int, str]]:
        return (self.foreign if device.foreign else self.free)[device.resource]

    def _known(self, devices: Iterable[str]) -> Iterable[Device]:
        return (self._devices[id] for id in devices if id in self._devices)

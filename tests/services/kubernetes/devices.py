"""Who really has which GPU: the kubelet's own answer (PodResources interface, v1), to compare books with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from .wire import messages, text, texts

SOCKET = "var/lib/kubelet/pod-resources/kubelet.sock"


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """Devices of one kind that a container has."""

    node: str
    namespace: str
    pod: str
    container: str
    resource: str
    ids: tuple[str, ...]


def allocations(node: str, root: Path) -> Iterator[Allocation]:
    """What the kubelet of a node gave to whom; `root` is the node's file system, seen from here."""
    with grpc.insecure_channel(f"unix://{root / SOCKET}", options=[("grpc.default_authority", "localhost")]) as channel:
        answer: bytes = channel.unary_unary("/v1.PodResourcesLister/List")(b"", timeout=5)
    for pod in messages(answer, 1):
        for container in messages(pod, 3):
            given: dict[str, list[str]] = {}
            for devices in messages(container, 2):  # one message an id
                given.setdefault(text(devices, 1), []).extend(texts(devices, 2))
            for resource, ids in given.items():
                yield Allocation(
                    node=node,
                    namespace=text(pod, 2),
                    pod=text(pod, 1),
                    container=text(container, 1),
                    resource=resource,
                    ids=tuple(sorted(ids)),
                )

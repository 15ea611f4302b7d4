"""The room: nodes as rows of GPU cells, the cells of one job fused into a block with the time it ends.

A node with GPUs of several kinds, as whole ones and slices, has a row for each: one does not do for the other. It shows
when, not who; names only where the caller says so (the admin page). Knows records; what may start is not decided
here but in scheduling/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...model import Device, Job, Node, Resources, State
from ...model.resources import NVIDIA_GPU
from . import words
from .moments import Moment, moment

WIDEST = 8  #: cells in a row; a node with more GPUs has more rows
ICONS = {"mine": "user", "foreign": "lock", "out": "wrench"}


@dataclass(frozen=True, kw_only=True)
class Block:
    """Cells that belong together."""

    kind: str  #: mine, busy, free, foreign (used outside the queue), out (drained)
    n: int
    icon: str
    who: str  #: only on the admin page
    label: str  #: "free", "starts"; empty where `until` stands
    until: Moment | None


@dataclass(frozen=True, kw_only=True)
class NodeRow:
    """The GPUs of one kind of one node."""

    id: str
    node: str
    kind: str  #: name of the resource
    name: str  #: the node's, and the kind where it is not the usual one
    first: bool  #: of its node: what is said of the whole node stands here
    words: str  #: "6 in use, 1 of them yours, 2 free"
    note: str  #: on the admin page: why it is drained
    drained: bool
    blocks: tuple[Block, ...]
    total: int
    in_use: int
    mine: int
    free: int
    cpus: str  #: free: "12 of 64"
    memory: str
    next_free: str  #: "4 at"; "none"
    next_at: Moment | None


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many GPUs of one kind there are."""

    name: str  #: "GPUs", "GPUs (mig-1g.10gb)"
    in_use: int
    free: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Room:
    """All nodes."""

    counts: tuple[Count, ...]  #: the usual kind first; never empty
    free: int  #: of the first kind, as all below
    total: int
    words: str  #: "2 of 24"
    unit: str  #: "GPUs", "GPUs and 7 of 7 GPUs (mig-1g.10gb)"
    columns: int  #: cells in a row, the same on every node
    nodes: tuple[NodeRow, ...]
    kinds: tuple[str, ...]  #: what the legend has to explain
    unknown: str  #: why the figures cannot be trusted, in words; empty: they can


def of(
    nodes: Sequence[Node], jobs: Iterable[Job], *, now: float, reader: str = "", names: bool = False, unknown: str = ""
) -> Room:
    """Draw the nodes with what the open jobs hold there; `reader`: whose cells are marked as their own."""
    held: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: job.id):
        if job.holding and job.placement:
            held.setdefault(job.placement.node, []).append(job)
    rows = tuple(
        _row(node, kind, held.get(node.name, []), now, reader, names)
        for node in sorted(nodes, key=_by_name)
        for kind in _kinds(node)
    )
    counts = _counts(rows)
    present = {block.kind for row in rows for block in row.blocks}
    return Room(
        counts=counts,
        free=counts[0].free,
        total=counts[0].total,
        words=f"{counts[0].free} of {counts[0].total}",
        unit=" and ".join([counts[0].name, *(f"{each.free} of {each.total} {each.name}" for each in counts[1:])]),
        columns=min(WIDEST, max([row.total for row in rows], default=0)) or 1,
        nodes=rows,
        kinds=tuple(kind for kind in ("mine", "busy", "free", "foreign", "out") if kind in present),
        unknown=unknown,
    )


def _by_name(node: Node) -> str:
    return node.name


def _kinds(node: Node) -> list[str]:
    """The usual one first, which also a node without GPUs has."""
    return sorted({device.resource for device in node.devices} or {NVIDIA_GPU}, key=_usual_first)


def _usual_first(kind: str) -> tuple[bool, str]:
    return kind != NVIDIA_GPU, kind


def _counts(rows: Sequence[NodeRow]) -> tuple[Count, ...]:
    kinds = {row.kind for row in rows if row.total} or {NVIDIA_GPU}
    return tuple(_count(kind, [row for row in rows if row.kind == kind]) for kind in sorted(kinds, key=_usual_first))


def _count(kind: str, rows: Sequence[NodeRow]) -> Count:
    return Count(
        name=f"GPUs{words.kind(kind)}",
        in_use=sum(row.in_use for row in rows),
        free=sum(row.free for row in rows),
        total=sum(row.total for row in rows),
    )


def _row(whole: Node, kind: str, jobs: list[Job], now: float, reader: str, names: bool) -> NodeRow:
    first = kind == _kinds(whole)[0]
    node = replace(whole, devices=tuple(device for device in whole.devices if device.resource == kind))
    elsewhere = {device.id for device in whole.devices if device.resource != kind}
    here = {device.id for device in node.devices}
    # A GPU that is gone from its node is still held: it counts in the first row.
    taken = {id: job for job in jobs for id in _devices(job) if id in here or (first and id not in elsewhere)}
    free = [d for d in node.devices if d.id not in taken and not d.foreign]
    foreign = [d for d in node.devices if d.id not in taken and d.foreign]
    mine = [id for id, job in taken.items() if job.user == reader]
    ends = _ends(taken.values(), now)
    left = _left(node, jobs)
    return NodeRow(
        id=f"node-{node.name}" if first else f"node-{node.name}-{kind}",
        node=node.name,
        kind=kind,
        name=f"{node.name}{words.kind(kind)}",
        first=first,
        words=_words(node, len(taken), len(mine), len(free), len(foreign)) if node.devices else _no_gpus(node, left),
        note=node.note if names else "",
        drained=node.drained,
        blocks=tuple(_blocks(node, jobs, free, foreign, now, reader, names)),
        total=len(node.devices),
        in_use=len(taken),
        mine=len(mine),
        free=0 if node.drained else len(free),
        cpus=f"{words.amount(left.cpus)} of {words.amount(node.allocatable.cpus)}",
        memory=f"{words.memory(left.memory)} of {words.memory(node.allocatable.memory)}",
        next_free="none" if node.drained or not ends else f"{ends[0][1]} at",
        next_at=None if node.drained or not ends else moment(ends[0][0], now=now),
    )


def _ends(holders: Iterable[Job], now: float) -> list[tuple[float, int]]:
    """When GPUs come free, soonest first, with how many; `holders`: for each GPU, the job that holds it."""
    return sorted(Counter(max(job.ends, now) for job in holders if job.ends is not None).items())


def _left(node: Node, jobs: list[Job]) -> Resources:
    held = sum((job.resources for job in jobs), node.used)
    return Resources(
        cpus=max(0.0, node.allocatable.cpus - held.cpus), memory=max(0, node.allocatable.memory - held.memory)
    )


def _words(node: Node, taken: int, mine: int, free: int, foreign: int) -> str:
    if node.drained:
        return f"draining, {taken} still in use" if taken else "drained, nothing in use"
    yours = "all yours" if mine == taken > 1 else "yours" if mine == taken else f"{mine} of them yours"
    parts = [
        f"{taken} in use" if taken else "",
        yours if mine else "",
        f"{foreign} outside the queue" if foreign else "",
        f"{free} free" if free else "",
    ]
    return ", ".join(filter(None, parts))


def _no_gpus(node: Node, left: Resources) -> str:
    if node.drained:
        return "draining, no GPUs"
    return f"no GPUs, {words.amount(left.cpus)} of {words.amount(node.allocatable.cpus)} CPUs free"


def _blocks(
    node: Node, jobs: list[Job], free: list[Device], foreign: list[Device], now: float, reader: str, names: bool
) -> Iterable[Block]:
    index = {device.id: device.index for device in node.devices}
    on_gpus = [job for job in jobs if job.placement and index.keys() & set(job.placement.devices)]
    column = 0
    for job in sorted(on_gpus, key=lambda job: min(index.get(id, 0) for id in _devices(job))):
        mine = job.user == reader
        fields = {"who": job.user if names else "", **_until(job, now)}
        for n in _pieces(sum(id in index for id in _devices(job)), column):
            yield Block(kind="mine" if mine else "busy", n=n, icon=ICONS["mine"] if mine else "", **fields)
            column += n
    for n in _pieces(len(foreign), column):
        yield Block(kind="foreign", n=n, icon=ICONS["foreign"], who="", label="not ours", until=None)
        column += n
    kind, label = ("out", "draining") if node.drained else ("free", "free")
    for n in _pieces(len(free), column):
        yield Block(kind=kind, n=n, icon=ICONS.get(kind, ""), who="", label=label, until=None)
        column += n


def _devices(job: Job) -> tuple[str, ...]:
    return job.placement.devices if job.placement else ()


def _pieces(n: int, column: int) -> Iterable[int]:
    """Break a block where the row of cells ends."""
    while n > 0:
        piece = min(n, WIDEST - column % WIDEST)
        yield piece
        n, column = n - piece, column + piece


def _until(job: Job, now: float) -> dict[str, Any]:
    if job.state is State.STOPPING:
        return {"label": "stopping", "until": None}
    if job.ends is None or job.state is not State.RUNNING:
        return {"label": "restarting" if job.state is State.RESTARTING else "starting", "until": None}
    return {"label": "", "until": moment(max(job.ends, now), now=now)}

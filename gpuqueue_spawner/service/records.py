"""Jobs, nodes and the queue as JSON. Knows who may read what; no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..manager.manager import Manager
from ..model import Job, Node, Resources, State, legacy_status, possible
from ..store import LoggedEvent

RELEASES_MAX = 8
LINE_MAX = 12  # drawn cells of the line around one's own place


def resources(amount: Resources) -> dict[str, Any]:
    """An amount."""
    others = {"others": dict(amount.others)} if amount.others else {}
    return {"cpus": amount.cpus, "memory": amount.memory, "gpus": dict(amount.gpus), **others}


def job(manager: Manager, it: Job) -> dict[str, Any]:
    """Everything its owner may know."""
    standing = manager.queue.standings.get(it.id)
    wait = standing.wait if standing else None
    reason = wait.reason if wait else None
    return {
        "id": it.id,
        "key": it.key,
        "user": it.user,
        "server": it.server,
        "name": it.name,
        "profile": it.profile,
        "state": str(it.state),
        "status": legacy_status(it.state),
        "version": it.version,
        "launch": it.launch,
        "resources": resources(it.resources),
        "lease": it.lease,
        "options": dict(it.options),
        "place": wait.place if wait else None,
        "of": wait.of if wait else None,
        "start": wait.start if wait else None,
        "reason": {"code": str(reason.code), "lead": reason.lead, "proof": reason.proof} if reason else None,
        "moved": standing.moved if standing else None,
        "came_from": standing.came_from if standing else None,
        "line": line(manager, wait.place) if wait else [],
        "placement": _placement(manager.room.nodes, it),
        "submitted": it.submitted,
        "queued": it.queued,
        "admitted": it.admitted,
        "started": it.started,
        "ends": it.ends,
        "warned": it.warned,
        "extended": it.extended,
        "ended": it.ended,
        "end": str(it.end) if it.end else None,
        "message": it.message,
        "by": it.by,
        "failures": it.failures,
        "possible": [str(event) for event in possible(it.state)],
    }


def for_spawner(manager: Manager, it: Job, *, ends: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The same for the Hub's waiting page, which also draws when GPUs are expected to come free.

    :param ends: what releases() said just now, for many jobs at once.
    """
    if not it.waiting:
        return {**job(manager, it), "releases": []}
    return {**job(manager, it), "releases": releases(manager) if ends is None else ends}


def releases(manager: Manager) -> list[dict[str, Any]]:
    """The next ends of leases, as moments and numbers of GPUs: when, not who."""
    ends = sorted(
        (each.ends, each.resources.gpu_count)
        for each in manager.queue.holding()
        if each.ends is not None and each.resources.gpu_count
    )
    return [{"at": at, "gpus": gpus} for at, gpus in ends[:RELEASES_MAX]]


def queued_public(manager: Manager, it: Job, *, mine: bool) -> dict[str, Any]:
    """What everybody may know of a waiting job: size and age, no name."""
    standing = manager.queue.standings.get(it.id)
    wait = standing.wait if standing else None
    return {
        "place": wait.place if wait else None,
        "mine": mine,
        "id": it.id if mine else None,
        "resources": resources(it.resources),
        "lease": it.lease,
        "queued": it.queued,
        "start": wait.start if wait else None,
        "code": str(wait.reason.code) if wait else None,
        "held": it.state is State.HELD,
    }


def line(manager: Manager, place: int) -> list[dict[str, Any]]:
    """The line around one's own place, as GPU counts."""
    cells = manager.queue.line
    first = max(0, min(place - 1 - LINE_MAX // 2, len(cells) - LINE_MAX))
    kinds = {-1: "ahead", 0: "me", 1: "behind"}
    return [
        {"gpus": gpus, "kind": kinds[(number > place) - (number < place)]}
        for number, gpus in enumerate(cells[first : first + LINE_MAX], start=first + 1)
    ]


def node(it: Node, jobs: Sequence[Job], *, names: bool, reader: str) -> dict[str, Any]:
    """A node and its GPUs; who holds what only for those who may see it."""
    holders = {
        device: job
        for job in jobs
        if job.placement and job.placement.node == it.name
        for device in job.placement.devices
    }
    return {
        "name": it.name,
        "allocatable": resources(it.allocatable),
        "drained": it.drained,
        "note": it.note if names or it.drained or it.taints else "",
        "devices": [
            {
                "id": device.id,
                "index": device.index,
                "resource": device.resource,
                "model": device.model,
                **_holder(device.foreign, holders.get(device.id), it.drained, names=names, reader=reader),
            }
            for device in it.devices
        ],
    }


def _holder(foreign: str, job: Job | None, drained: bool, *, names: bool, reader: str) -> dict[str, Any]:
    if job is not None:
        mine = job.user == reader
        who = {"job": job.id, "user": job.user} if names or mine else {"job": None, "user": None}
        return {"state": "mine" if mine else "busy", "until": job.ends, **who}
    if foreign:
        return {"state": "foreign", "until": None, "words": foreign if names else "in use outside the queue"}
    return {"state": "drained" if drained else "free", "until": None}


def event(it: LoggedEvent) -> dict[str, Any]:
    """One line of a job's story."""
    return {
        "seq": it.seq,
        "event": str(it.event),
        "state": str(it.state),
        "at": it.at,
        "by": it.by,
        "note": it.note,
        "detail": dict(it.detail),
    }


def _placement(nodes: Sequence[Node], it: Job) -> Mapping[str, Any] | None:
    if it.placement is None:
        return None
    index = {device.id: device.index for node in nodes if node.name == it.placement.node for device in node.devices}
    devices = [{"id": device, "index": index.get(device)} for device in it.placement.devices]
    return {"node": it.placement.node, "devices": devices}

"""Jobs, nodes and pages that show only what matters. The clock stands at Tuesday 24 November 2026, 12:42:07 UTC."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gpuqueue_spawner.model import Device, Event, Job, Node, Placement, Reason, ReasonCode, Resources, State
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.scheduling import Wait
from gpuqueue_spawner.service.readers import Reader
from gpuqueue_spawner.service.templating import environment
from gpuqueue_spawner.service.views import admin, jobs, story
from gpuqueue_spawner.service.views.cards import Rules
from gpuqueue_spawner.service.views.frame import Site
from gpuqueue_spawner.store import LoggedEvent

GB = 2**30
SITE = Site(help_url="mailto:gpu@example.org")
ANEH = Reader(name="aneh")
ADMIN = Reader(name="rbaker", scopes=frozenset({"custom:gpuqueue:admin"}))
READER = Reader(name="rita", scopes=frozenset({"custom:gpuqueue:read"}))
ENVIRONMENT = environment()


def at(hour: int, minute: int = 0, second: int = 0, day: int = 24) -> float:
    """A time of the afternoon that the tests tell of."""
    return datetime(2026, 11, day, hour, minute, second, tzinfo=UTC).timestamp()


NOW = at(12, 42, 7)


def node(name: str = "dgx1", *, gpus: int = 8, foreign: Iterable[int] = (), **fields: Any) -> Node:
    """A server."""
    outside = set(foreign)
    devices = tuple(
        Device(id=f"{name}/{n}", index=n, foreign="pid 7 (python, uid 1000) uses it" if n in outside else "")
        for n in range(gpus)
    )
    allocatable = Resources(cpus=128, memory=1024 * GB, gpus={NVIDIA_GPU: gpus})
    return Node(name=name, **{"allocatable": allocatable, "devices": devices, **fields})


def sliced() -> Node:
    """A server with two GPUs, and three slices of one."""
    whole = node(gpus=2)
    slices = tuple(Device(id=f"slice/{n}", index=2 + n, resource="nvidia.com/mig-1g.10gb") for n in range(3))
    return replace(whole, devices=whole.devices + slices)


def job(id: int = 1, *, gpus: int = 4, user: str = "aneh", **fields: Any) -> Job:
    """A waiting job."""
    values = {
        "user": user,
        "server": "churn",
        "request": f"r{id}",
        "name": f"job-{id}",
        "profile": "TensorFlow",
        "resources": Resources(cpus=8, memory=64 * GB, gpus={NVIDIA_GPU: gpus}),
        "lease": 4 * 3600.0,
        "id": id,
        "key": f"k{id}",
        "state": State.QUEUED,
        "version": 1,
        "submitted": at(11, 58),
        "queued": at(11, 58) + id,
    }
    return Job(**{**values, **fields})


def running(id: int = 1, *, on: str = "dgx1", indexes: Sequence[int] = (0, 1), **fields: Any) -> Job:
    """A job that runs from 11:04 to 15:04."""
    placement = Placement(node=on, devices=tuple(f"{on}/{n}" for n in indexes))
    times = {"admitted": at(11, 3), "started": at(11, 4), "ends": at(15, 4)}
    return job(id, **{"gpus": len(indexes), "state": State.RUNNING, "placement": placement, **times, **fields})


def wait(
    it: Job,
    *,
    place: int = 1,
    of: int = 1,
    start: float | None = at(14, 8),
    code: ReasonCode = ReasonCode.ORDER,
    lead: str = "Behind 2 others.",
    proof: str = "",
) -> dict[int, Wait]:
    """What the planner says of one job."""
    reason = Reason(code=code, lead=lead, proof=proof)
    return {it.id: Wait(job=it.id, place=place, of=of, reason=reason, start=start)}


def logged(*lines: tuple[float, Event, State, dict[str, Any]]) -> list[LoggedEvent]:
    """A log: time, event, the state after it, and whatever else the line holds."""
    return [
        LoggedEvent(
            seq=n,
            job=1,
            version=n,
            event=event,
            state=state,
            at=when,
            by=more.get("by", ""),
            note=more.get("note", ""),
            detail=more.get("detail", {}),
        )
        for n, (when, event, state, more) in enumerate(lines, 1)
    ]


def jobs_view(
    *open_jobs: Job, reader: Reader = ANEH, waits: dict[int, Wait] | None = None, **fields: Any
) -> jobs.JobsView:
    """The page My jobs."""
    values = {"ended": (), "nodes": (), "rules": Rules(), "now": NOW, "site": SITE}
    return jobs.view(**{**values, "reader": reader, "jobs": open_jobs, "waits": waits or {}, **fields})


def admin_view(
    *open_jobs: Job, reader: Reader = ADMIN, waits: dict[int, Wait] | None = None, **fields: Any
) -> admin.AdminView:
    """The admin page."""
    values = {"ended": (), "nodes": (), "now": NOW, "site": SITE}
    return admin.view(**{**values, "reader": reader, "jobs": open_jobs, "waits": waits or {}, **fields})


def story_view(it: Job, log: Sequence[LoggedEvent], *, reader: Reader = ANEH, **fields: Any) -> story.StoryView:
    """A job's story."""
    return story.view(**{"site": SITE, "reader": reader, "job": it, "log": log, "now": NOW, **fields})


def render(template: str, view: Any, *, fragment: bool = False) -> str:
    """A page of the service."""
    return ENVIRONMENT.get_template(template).render(view=view, xsrf="a-token", fragment=fragment)

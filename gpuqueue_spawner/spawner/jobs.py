"""A job as the queue shows it to the Hub, and the words that its owner reads while it waits.

Knows the JSON of the spawner protocol and JupyterHub's progress events. Who asks for it: client.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import End, Resources, State
from ..model.numbers import any_moment, at_most, ordinal

AWAY = "The queue does not answer right now; your place is kept."


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job, as of one answer or event. Times are Unix seconds, None: has not happened or no estimate."""

    id: int
    key: str
    state: State
    version: int
    name: str = ""
    profile: str = ""
    resources: Mapping[str, Any] = field(default_factory=dict)  #: as the queue's JSON has them
    lease: float | None = None  #: seconds
    launch: int = 0
    place: int | None = None  #: counted from 1, None: has none
    of: int | None = None  #: how many wait
    start: float | None = None  #: estimated start
    code: str = ""  #: why it waits; empty: it does not
    lead: str = ""
    proof: str = ""
    line: tuple[Mapping[str, Any], ...] = ()  #: the line around its place, for the page to draw
    releases: tuple[Mapping[str, Any], ...] = ()  #: when GPUs are expected free, for the page to draw
    node: str = ""  #: where it holds its devices
    submitted: float | None = None
    queued: float | None = None
    moved: float | None = None  #: when its place last changed
    ends: float | None = None
    end: End | None = None
    message: str = ""
    failures: int = 0  #: launches that failed in a row

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> JobView:
        """Read the queue's JSON; what this version does not know is left out."""
        reason = document.get("reason") or {}
        placement = document.get("placement") or {}
        end = document.get("end")
        return cls(
            id=int(document["id"]),
            key=str(document["key"]),
            state=State(document["state"]),
            version=int(document["version"]),
            name=str(document.get("name") or ""),
            profile=str(document.get("profile") or ""),
            resources=document.get("resources") or {},
            lease=document.get("lease"),
            launch=int(document.get("launch") or 0),
            place=document.get("place"),
            of=document.get("of"),
            start=document.get("start"),
            code=str(reason.get("code") or ""),
            lead=str(reason.get("lead") or ""),
            proof=str(reason.get("proof") or ""),
            line=tuple(document.get("line") or ()),
            releases=tuple(document.get("releases") or ()),
            node=str(placement.get("node") or ""),
            submitted=document.get("submitted"),
            queued=document.get("queued"),
            moved=document.get("moved"),
            ends=document.get("ends"),
            end=End(end) if end else None,
            message=str(document.get("message") or ""),
            failures=int(document.get("failures") or 0),
        )

    @property
    def final(self) -> bool:
        """Whether no notebook will come of it any more."""
        return self.state is State.ENDED or (self.state is State.STOPPING and self.end is not None)


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The right to start processes of one job once."""

    job: JobView
    launch: int
    ticket: str  #: a secret, good for one claim
    environment: Mapping[str, str] = field(default_factory=dict)  #: marks of the job and the GPUs it was given
    cgroups: tuple[str, ...] = ()  #: cgroup.procs files that its processes join

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Permit:
        """Read the queue's JSON."""
        return cls(
            job=JobView.of_document(document["job"]),
            launch=int(document["launch"]),
            ticket=str(document["ticket"]),
            environment={str(name): str(value) for name, value in (document.get("environment") or {}).items()},
            cgroups=tuple(str(path) for path in document.get("cgroups") or ()),
        )


def amounts(resources: Resources) -> dict[str, Any]:
    """Resources as JSON."""
    others = {"others": dict(resources.others)} if resources.others else {}
    return {"cpus": resources.cpus, "memory": resources.memory, "gpus": dict(resources.gpus), **others}


def waiting_words(job: JobView, *, now: float) -> str:
    """What its owner reads while `job` waits for its turn: place, reason, estimate."""
    if job.state is State.STOPPING:
        return "The last try is being cleared away; your place is kept."
    if job.state is State.ADMITTED:
        return "It is your turn."
    if job.state is State.RESTARTING:
        return "Restarting on the same GPUs."
    place = (
        f"You are {ordinal(job.place)} of {job.of} in the queue." if job.place and job.of else "You are in the queue."
    )
    reason = " ".join(filter(None, (job.lead, job.proof)))
    return " ".join(filter(None, (back_words(job), place, reason, _estimate(job.start, now))))


def back_words(job: JobView) -> str:
    """Why it waits again, although it was started before."""
    if job.state is not State.QUEUED or not job.launch or not job.message:
        return ""
    words = job.message.rstrip(".")
    return f"The last start failed: {words}." if job.failures else f"{words}. Your place is kept."


def _estimate(start: float | None, now: float) -> str:
    if start is None:
        return ""
    return "Starts any moment." if any_moment(start - now) else f"Starts in {at_most(start - now)} at the latest."


def end_words(job: JobView) -> str:
    """Why no notebook comes of `job`."""
    lead = {
        End.CANCELLED: "This request was cancelled",
        End.STOPPED: "This request was stopped",
        End.REJECTED: "This request was not accepted",
        End.EXPIRED: "The time of this request was up",
        End.RECLAIMED: "Its GPUs were idle and were given back",
        End.FAILED: "The notebook could not be started",
        End.COMPLETED: "This request is finished",
    }.get(job.end or End.FAILED, "This request ended")
    words = f"{lead}: {job.message}" if job.message else lead
    return words if words.endswith((".", "!", "?")) else f"{words}."

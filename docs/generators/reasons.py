"""Why a job waits and how it ends, with the sentences that the planner and the pages really print.

Knows a small queue for each reason; the words come from planning it. States: states.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuqueue_spawner.model import Device, End, Job, Node, Placement, Reason, ReasonCode, Resources, State
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.scheduling import Limits, Snapshot, plan
from gpuqueue_spawner.service.views import chips, standing

from .tables import code, table

NOW = 1_000_000.0

WHAT_HELPS = {
    ReasonCode.HOLD: "The GPU team releases it.",
    ReasonCode.NEVER_FITS: "Ask for less. It is refused when it is asked for; later it happens only to a job whose "
    "server was taken away or closed to it by a taint or another label, or whose limit was lowered.",
    ReasonCode.OWN_LIMIT: "One of your own jobs ends.",
    ReasonCode.CAPACITY_UNKNOWN: "Nothing of yours. Nobody starts until it is known again; the sentence says why.",
    ReasonCode.ORDER: "Time. The estimate counts everybody ahead.",
    ReasonCode.RESOURCES: "A job ends. You are the next.",
    ReasonCode.NOT_BEFORE: "A few seconds. It is tried again by itself.",
}

ENDS = {
    End.COMPLETED: "Its notebook ended by itself with exit status 0, as with *File > Shut Down*; or nobody learned how "
    "it ended. The message says which.",
    End.STOPPED: "Its owner or the GPU team stopped a server that was starting or running.",
    End.CANCELLED: "It was withdrawn while it had no process.",
    End.EXPIRED: "Its lease was over, and its owner had been warned.",
    End.RECLAIMED: "Its GPUs were idle. Kept for a later version; nothing is reclaimed today.",
    End.FAILED: "The notebook could not be started, or ended by itself with a fault. The message says which.",
    End.REJECTED: "It can never start: its user is gone from JupyterHub.",
}


def reasons() -> str:
    """In their order of precedence."""
    examples: dict[ReasonCode, Callable[[], Reason]] = {
        ReasonCode.HOLD: lambda: _why(_job(1, 2, state=State.HELD, message="Maintenance tonight")),
        ReasonCode.NEVER_FITS: lambda: _why(_job(1, 16)),
        ReasonCode.OWN_LIMIT: lambda: _why(_job(2, 2, user="you"), _running(1, 3, user="you"), limits=Limits(gpus=4)),
        ReasonCode.CAPACITY_UNKNOWN: lambda: _why(_job(1, 2), unknown="The queue's database does not answer."),
        ReasonCode.ORDER: lambda: _why(_job(2, 2), _running(9, 6), _job(1, 4), job=2),
        ReasonCode.RESOURCES: lambda: _why(_job(2, 4), _running(1, 6)),
        ReasonCode.NOT_BEFORE: lambda: _why(_job(1, 2, not_before=NOW + 5, message="the notebook did not answer")),
    }
    rows = []
    for number, reason in enumerate(ReasonCode, start=1):
        said = examples[reason]()
        if said.code is not reason:
            raise ValueError(f"the example of {reason} gives {said}")
        others = standing._FOR_OTHERS.get(reason, "the same")
        rows.append((str(number), code(reason), f"**{said.lead}** {said.proof}", others, WHAT_HELPS[reason]))
    return table(("", "Code", "What you read, for example", "What others read", "What helps"), rows)


def ends() -> str:
    """Every end."""
    return table(("Code", "Pages say", "Meaning"), ((code(end), chips.of_end(end).word, ENDS[end]) for end in End))


def _why(*jobs: Job, job: int | None = None, **fields: Any) -> Reason:
    waiting = job or next(each.id for each in jobs if each.waiting)
    snapshot = Snapshot(nodes=(_server(),), jobs=jobs, **fields)
    return plan(snapshot, now=NOW).waits[waiting].reason


def _server() -> Node:
    devices = tuple(Device(id=f"GPU-{index}", index=index) for index in range(8))
    return Node(name="dgx1", allocatable=Resources(cpus=128, memory=2**40, gpus={NVIDIA_GPU: 8}), devices=devices)


def _job(id: int, gpus: int, **fields: Any) -> Job:
    values: dict[str, Any] = {
        "user": f"user{id}",
        "server": "",
        "request": f"r{id}",
        "resources": Resources(cpus=1, memory=2**30, gpus={NVIDIA_GPU: gpus}),
        "lease": 3600.0,
        "id": id,
        "key": f"k{id}",
        "state": State.QUEUED,
        "version": 1,
        "submitted": float(id),
        "queued": float(id),
    }
    return Job(**{**values, **fields})


def _running(id: int, gpus: int, **fields: Any) -> Job:
    placement = Placement(node="dgx1", devices=tuple(f"GPU-{index}" for index in range(gpus)))
    return _job(id, gpus, state=State.RUNNING, placement=placement, ends=NOW + 3600, **fields)

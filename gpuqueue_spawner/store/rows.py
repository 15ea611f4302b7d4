"""A job as a record and as a row. Knows both shapes and turns one into the other; no transaction, no rule.

What may be in a row: values.py. Who reads and writes them: jobs.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gpuqueue_spawner.model import Constraints, End, Job, NewJob, Placement, Resources, State

from .values import document, name, real, whole, words

_TIMES = ("admitted", "started", "ends", "warned", "ended")  #: may not have happened yet
_PROCESS = ("uid", "pid", "pid_started")  #: may be unknown
_REALS = ("lease", "submitted", "queued", "not_before", "extended")
_COUNTS = ("version", "launch", "failures")
_NAMES = ("user", "server", "request", "name", "profile")


def wanted(new: NewJob) -> dict[str, Any]:
    """The columns of what was asked for.

    :raises Unstorable: a value that no database can keep.
    """
    return {
        **{field: name(field, getattr(new, field)) for field in _NAMES},
        "cpus": real("cpus", new.resources.cpus),
        "memory": whole("memory", new.resources.memory),
        "gpus": document("gpus", new.resources.gpus),
        "others": document("others", new.resources.others) if new.resources.others else None,
        "constraints": _rules(new.constraints),
        "lease": real("lease", new.lease),
        "options": document("options", new.options),
        "uid": None if new.uid is None else whole("uid", new.uid),
    }


def row_of(job: Job) -> dict[str, Any]:
    """Every column of a job but its id.

    :raises Unstorable: a value that no database can keep.
    """
    row = wanted(job)
    row |= {field: real(field, getattr(job, field)) for field in _REALS}
    row |= {field: whole(field, getattr(job, field)) for field in _COUNTS}
    for field, let in [*((field, real) for field in _TIMES), *((field, whole) for field in _PROCESS)]:
        value = getattr(job, field)
        row[field] = None if value is None else let(field, value)
    return row | {
        "key": job.key,
        "open": 1 if job.open else None,
        "state": job.state.value,
        "end": job.end.value if job.end else None,
        "failed_on": json.dumps([name("failed_on", node) for node in job.failed_on]) if job.failed_on else None,
        "message": words(job.message),
        "by": words(job.by),
        **_placed(job.placement),
    }


def job_of(row: Mapping[str, Any]) -> Job:
    """The record of a row; the same for a row that was read and for one that was just written."""
    same = ("id", *_NAMES, *_REALS, *_COUNTS, *_TIMES, *_PROCESS, "key", "message", "by")
    return Job(
        **{field: row[field] for field in same},
        resources=Resources(
            cpus=row["cpus"],
            memory=row["memory"],
            gpus=json.loads(row["gpus"]),
            others=json.loads(row["others"] or "{}"),
        ),
        constraints=Constraints.of_document(json.loads(row["constraints"] or "{}")),
        options=json.loads(row["options"]),
        state=State(row["state"]),
        end=End(row["end"]) if row["end"] else None,
        placement=_placement(row),
        failed_on=tuple(json.loads(row["failed_on"] or "[]")),
    )


def _rules(constraints: Constraints) -> str | None:
    rules = constraints.document()
    return document("constraints", rules) if rules else None


def _placed(placement: Placement | None) -> dict[str, Any]:
    if placement is None:
        return {"node": None, "devices": None}
    devices = [name("device", device, least=1) for device in placement.devices]
    return {"node": name("node", placement.node, least=1), "devices": json.dumps(devices)}


def _placement(row: Mapping[str, Any]) -> Placement | None:
    if row["node"] is None:
        return None
    return Placement(node=row["node"], devices=tuple(json.loads(row["devices"])))

"""What the Hub's spawn form prints of the queue besides the waits: the room, the queue in short, one's own limits.

As plain JSON: it is printed by the Hub (spawner/templates/gpuqueue_form.html), and anew by its script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ...model import Job, Node
from ...scheduling import Limits
from . import queue, room, words


def view(
    *,
    reader: str,
    jobs: Sequence[Job],
    nodes: Sequence[Node],
    limits: Limits,
    max_lease: float,
    now: float,
    unknown: str = "",
) -> dict[str, Any]:
    """Prepare `room`, and the facts about queue and limits as pairs of term and words; `jobs`: every open job."""
    waiting = queue.waiting(jobs)
    own = [job for job in jobs if job.user == reader]
    return {
        "room": asdict(room.of(nodes, jobs, now=now, reader=reader, unknown=unknown)),
        "queue": _queue(waiting, now),
        "limits": _limits(own, limits, max_lease),
    }


def _queue(waiting: Sequence[Job], now: float) -> list[list[str]]:
    if not waiting:
        return [["Waiting", "nobody"]]
    asked = [words.count(len(waiting), "job"), words.gpus_together(job.resources for job in waiting)]
    return [
        ["Waiting", ", ".join(filter(None, asked))],
        ["Longest wait", words.duration(now - waiting[0].queued)],
    ]


def _limits(own: Sequence[Job], limits: Limits, max_lease: float) -> list[list[str]]:
    held = sum(job.resources.gpu_count for job in own if job.holding)
    used = [
        ("GPUs at once", held, limits.gpus),
        ("Running jobs", sum(job.holding for job in own), limits.running_jobs),
        ("Waiting jobs", sum(job.waiting for job in own), limits.queued_jobs),
    ]
    facts = [[term, f"{n} of {most}"] for term, n, most in used if most is not None]
    return [*facts, ["Longest run", words.duration(max_lease)]]

"""Who comes first. A policy is a key: the job with the smallest key is the next.

Knows jobs. Who may be passed over: line.py.
"""

from __future__ import annotations

from ..model import Job


def first_come(job: Job) -> tuple[float, int]:
    """First come, first served: by the time it took its place, then by its number."""
    return job.queued, job.id

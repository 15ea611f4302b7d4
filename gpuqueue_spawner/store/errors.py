"""What a store refuses, each refusal worded with the values it is about.

Knows words only. How a driver's fault becomes one of these: faults.py.
"""

from __future__ import annotations

from pathlib import Path

UPGRADE = "gpuqueue upgrade-db"  #: the command that brings a database to this version's schema


class StoreError(Exception):
    """Anything a store refuses."""


class JobChanged(StoreError):
    """Somebody moved the job since it was read: read anew, decide anew."""

    def __init__(self, job: int) -> None:
        super().__init__(f"job {job} was changed by somebody else since it was read (read it again and decide again)")
        self.job = job


class LeaseLost(StoreError):
    """The writer no longer leads: nothing was written, and it must not go on as if it did."""

    def __init__(self, fence: int, current: int) -> None:
        why = "it was given up" if fence == current else f"number {current} was given out since"
        super().__init__(f"leadership number {fence} is no longer good: {why}")
        self.fence, self.current = fence, current


class DeviceTaken(StoreError):
    """The database refused to give one device to two jobs."""

    def __init__(self, node: str, device: str, job: int) -> None:
        super().__init__(f"device {device} of node {node} is held by job {job}")
        self.node, self.device, self.job = node, device, job


class Unstorable(StoreError, ValueError):
    """A value that not every database can keep; knows the field, the value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        shown = repr(value)
        super().__init__(f"{field} is {shown if len(shown) <= 80 else shown[:77] + '...'}; allowed is {allowed}")
        self.field, self.value, self.allowed = field, value, allowed


class InvalidDatabase(StoreError, ValueError):
    """An address that cannot hold a queue."""


class SchemaMismatch(StoreError):
    """The database's tables are not those of this version. `found` is a revision, None: it has none."""

    def __init__(self, found: str | None, expected: str, *, why: str = "", remedy: str = f"run `{UPGRADE}`") -> None:
        has = f"has schema {found}" if found else "has no schema of the queue"
        super().__init__(f"the database {why or has}, this version works with {expected}: {remedy}")
        self.found, self.expected = found, expected


class StoreUnavailable(StoreError):
    """The database cannot be read or written now; `cause` says why in words.

    Nothing was acknowledged. A commit whose answer got lost may have happened all the same: read before trying again.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(f"the database is unavailable: {cause}")
        self.cause = cause


class TakenBack(StoreUnavailable):
    """The server took a change back because of another one: nothing of it was written, and it may be tried again."""


class BackupRefused(StoreError):
    """No copy was made, nothing was overwritten."""

    def __init__(self, target: Path, why: str) -> None:
        super().__init__(f"no backup to {target}: {why}")
        self.target = target

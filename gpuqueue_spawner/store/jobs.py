"""Every read and write of jobs: a record in, a record out, each in one transaction.

Knows the tables, compares and sets; no clock, no HTTP, no plan. What an event makes of a job: moves.py. The sums that
outlive a job: usage.py.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select

from gpuqueue_spawner.model import Event, Job, NewJob, Placement, State

from .database import Database, retried
from .errors import DeviceTaken, JobChanged
from .leader import fenced
from .moves import held, moved
from .rows import job_of, row_of, wanted
from .tables import by_field, held_devices, job_events, job_requests, jobs
from .usage import add_up
from .values import LARGEST, document, real, words


@dataclass(frozen=True, kw_only=True)
class LoggedEvent:
    """One line of a job's story."""

    seq: int  #: rises over all jobs
    job: int
    version: int  #: of the job after it
    event: Event
    state: State  #: of the job after it
    at: float  #: Unix seconds, as the leader's clock had it
    by: str  #: who; empty: the queue itself
    note: str  #: an admin's words
    detail: Mapping[str, Any]


class Jobs:
    """The jobs of one queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @retried
    def submit(self, new: NewJob, *, fence: int, at: float) -> tuple[Job, bool]:
        """Accept a request: a job at the end of the line, or the one that it belongs to already.

        :returns: the job, and whether it is new. Not new: this request was seen before (the job may have ended since),
            or its user and server have an open job, to which it is now attached.
        :raises LeaseLost: the writer no longer leads.
        :raises Unstorable: a value that no database can keep.
        """
        asked = wanted(new)
        with fenced(self._database, fence) as tx:
            known = _requested(tx, new) or _attached(tx, new)
            if known:
                return known, False
            row = asked | {
                "key": uuid.uuid4().hex,
                "open": 1,
                "state": State.QUEUED.value,
                "version": 1,
                "submitted": real("at", at),
                "queued": _behind_all(tx, at),
                **dict.fromkeys(("not_before", "extended"), 0.0),
                **dict.fromkeys(("launch", "failures"), 0),
                **dict.fromkeys(("message", "by"), ""),
            }
            tx.execute(insert(jobs).values(row))
            job = _one(tx, jobs.c.key == row["key"])
            assert job is not None
            _remember(tx, job, new.request)
            _log(tx, job, Event.SUBMIT, at=at, by=new.user)
        return job, True

    @retried
    def apply(
        self,
        job: Job,
        event: Event,
        *,
        fence: int,
        at: float,
        by: str = "",
        note: str = "",
        detail: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Job:
        """Move one job as it was read, with what it holds, and log it. `changes` are fields of the job.

        An end is stamped with `at`; what waits holds nothing; an ended job keeps its placement as history only. `by`
        is who did it, for the story, and becomes the job's own `by` where the event ends or holds it. With REPLACE a
        new `queued` is the end of the line, also when the clock was set back since.

        :raises InvalidTransition: the event is not possible in the job's state.
        :raises LeaseLost: the writer no longer leads.
        :raises JobChanged: somebody moved it since it was read.
        :raises DeviceTaken: another job holds a device of its new placement.
        :raises Unstorable: a value that no database can keep.
        """
        result = moved(job, event, changes, at=at, by=by)
        before, row = row_of(job), row_of(result)
        with fenced(self._database, fence) as tx:
            if event is Event.REPLACE and "queued" in changes:
                row["queued"] = _behind_all(tx, row["queued"], but=job.id)
            different = {key: value for key, value in row.items() if value != before[key]}
            read = and_(jobs.c.id == job.id, jobs.c.version == job.version)
            done = tx.execute(jobs.update().where(read).values(different))
            if done.rowcount != 1:
                raise JobChanged(job.id)
            _hold(tx, result.id, before=held(job), after=held(result))
            if result.request != job.request:
                _remember(tx, result, result.request)
            _log(tx, result, event, at=at, by=by, note=note, detail=detail)
        return job_of(row | {"id": job.id})

    def open(self) -> tuple[Job, ...]:
        """Every job that has not ended, by its place in the line."""
        with self._database.reading() as tx:
            return _all(tx, jobs.c.open == 1, order=(jobs.c.queued, jobs.c.id))

    def get(self, id: int) -> Job | None:
        """Find a job by its number."""
        if not 0 < id <= LARGEST:
            return None
        with self._database.reading() as tx:
            return _one(tx, jobs.c.id == id)

    def by_key(self, key: str) -> Job | None:
        """Find a job by the key that its processes carry."""
        with self._database.reading() as tx:
            return _one(tx, jobs.c.key == words(key))

    def ended(self, *, since: float, user: str | None = None, limit: int = 100) -> tuple[Job, ...]:
        """Jobs that ended at `since` or later, the newest first."""
        which = jobs.c.ended >= since
        if user is not None:
            which = and_(which, jobs.c.user == words(user))
        with self._database.reading() as tx:
            return _all(tx, which, order=(jobs.c.ended.desc(), jobs.c.id.desc()), limit=limit)

    def events(self, id: int) -> tuple[LoggedEvent, ...]:
        """A job's story, the oldest line first."""
        with self._database.reading() as tx:
            return _events(tx, [id] if 0 < id <= LARGEST else [])

    @retried
    def expire(self, *, before: float, fence: int, limit: int = 500) -> int:
        """Sum jobs that ended before `before` up by day and user, and forget them.

        One transaction of at most `limit` jobs: stopped anywhere, it goes on where it was. Call it again while it
        returns `limit`; between two calls the leader can show that it lives.

        :returns: how many jobs were forgotten.
        :raises LeaseLost: the writer no longer leads.
        """
        with fenced(self._database, fence) as tx:
            old = _all(tx, jobs.c.ended < real("before", before), order=(jobs.c.ended, jobs.c.id), limit=limit)
            ids = [job.id for job in old]
            if not ids:
                return 0
            add_up(tx, old, [(line.job, line.state, line.at) for line in _events(tx, ids)])
            for table in (job_events, job_requests):
                tx.execute(table.delete().where(table.c.job.in_(ids)))
            tx.execute(jobs.delete().where(jobs.c.id.in_(ids)))
        return len(ids)


def _all(
    tx: Connection, which: ColumnElement[bool], *, order: Iterable[ColumnElement[Any]], limit: int | None = None
) -> tuple[Job, ...]:
    rows = tx.execute(select(*by_field(jobs)).where(which).order_by(*order).limit(limit)).mappings()
    return tuple(job_of(dict(row)) for row in rows)


def _one(tx: Connection, which: ColumnElement[bool]) -> Job | None:
    row = tx.execute(select(*by_field(jobs)).where(which)).mappings().one_or_none()
    return job_of(dict(row)) if row else None


def _requested(tx: Connection, new: NewJob) -> Job | None:
    """The job that this very request was answered with before."""
    c = job_requests.c
    same = and_(c.user == new.user, c.server == new.server, c.request == new.request)
    return _one(tx, jobs.c.id.in_(select(c.job).where(same)))


def _attached(tx: Connection, new: NewJob) -> Job | None:
    """The open job of the request's user and server, which from now on knows the request."""
    job = _one(tx, and_(jobs.c.user == new.user, jobs.c.server == new.server, jobs.c.open == 1))
    if job:
        _remember(tx, job, new.request)
    return job


def _remember(tx: Connection, job: Job, request: str) -> None:
    values = {"user": job.user, "server": job.server, "request": request}
    known = select(job_requests.c.job).where(and_(*(job_requests.c[key] == value for key, value in values.items())))
    if tx.execute(known).first() is None:
        tx.execute(insert(job_requests).values(job=job.id, **values))


def _behind_all(tx: Connection, at: float, *, but: int | None = None) -> float:
    """A place behind every open job `but` this one, also when the clock was set back since they came.

    Among equals the lower number is first; a job that was there before can only pass behind with a later time.
    """
    others = select(func.max(jobs.c.queued)).where(jobs.c.open == 1)
    last = tx.execute(others if but is None else others.where(jobs.c.id != but)).scalar()
    if last is None or at > last:
        return real("at", at)
    return float(last) if but is None else math.nextafter(last, math.inf)


def _hold(tx: Connection, job: int, *, before: Placement | None, after: Placement | None) -> None:
    """Exchange what a job holds. The primary key refuses a device held twice; asking first only gives it a name."""
    if before == after:
        return
    c = held_devices.c
    tx.execute(held_devices.delete().where(c.job == job))
    if after is None or not after.devices:
        return
    others = select(*by_field(held_devices)).where(c.node == after.node, c.device.in_(after.devices)).order_by(c.device)
    taken = tx.execute(others).mappings().first()
    if taken:
        raise DeviceTaken(**taken)
    tx.execute(insert(held_devices), [{"node": after.node, "device": device, "job": job} for device in after.devices])


def _log(
    tx: Connection,
    job: Job,
    event: Event,
    *,
    at: float,
    by: str = "",
    note: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    tx.execute(
        insert(job_events).values(
            job=job.id,
            version=job.version,
            event=event.value,
            state=job.state.value,
            at=real("at", at),
            by=words(by),
            note=words(note),
            detail=document("detail", detail or {}),
        )
    )


def _events(tx: Connection, ids: list[int]) -> tuple[LoggedEvent, ...]:
    rows = tx.execute(
        select(*by_field(job_events)).where(job_events.c.job.in_(ids)).order_by(job_events.c.seq)
    ).mappings()
    return tuple(
        LoggedEvent(
            **{key: row[key] for key in ("seq", "job", "version", "at", "by", "note")},
            event=Event(row["event"]),
            state=State(row["state"]),
            detail=json.loads(row["detail"]),
        )
        for row in rows
    )

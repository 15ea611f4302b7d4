"""What is free and how long the wait is for one user's choices, and the ticket that lets a page of the Hub ask again.

A page of the Hub cannot call a service as its user (the service's OAuth would redirect it for ever). So the rendering
puts a ticket into the page: signed, for minutes, good only for reading this user's availability.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..manager.manager import Manager
from ..model import Constraints, Resources
from ..scheduling import Choice, trials
from . import records
from .views import form

TICKET_S = 30 * 60.0  # a form that is open for longer is loaded again, or shows its last numbers as old


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The choices of one user's form."""

    user: str
    server: str
    choices: Mapping[str, Choice]  #: by the form's own key


class BadTicket(Exception):
    """Forged, changed or too old."""


class Tickets:
    """Seals what was asked, and opens it again."""

    def __init__(self, secret: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._secret, self._clock = secret, clock

    def seal(self, asked: Asked) -> str:
        """Make a ticket."""
        choices = {
            key: [records.resources(it.resources), it.constraints.document(), it.lease]
            for key, it in asked.choices.items()
        }
        content = {"user": asked.user, "server": asked.server, "choices": choices, "until": self._clock() + TICKET_S}
        body = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
        return f"{body}.{self._sign(body)}"

    def open(self, ticket: str) -> Asked:
        """Read a ticket.

        :raises BadTicket: it is not ours, or too old.
        """
        body, _, signature = ticket.partition(".")
        if not body.isascii() or not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            raise BadTicket
        content = json.loads(base64.urlsafe_b64decode(body))
        if content["until"] < self._clock():
            raise BadTicket
        choices = {
            key: Choice(resources=Resources(**amount), constraints=Constraints.of_document(demand), lease=lease)
            for key, (amount, demand, lease) in content["choices"].items()
        }
        return Asked(user=content["user"], server=content["server"], choices=choices)

    def _sign(self, body: str) -> str:
        return hmac.new(self._secret, f"availability/{body}".encode(), hashlib.sha256).hexdigest()


async def availability(manager: Manager, asked: Asked) -> dict[str, Any]:
    """Everything a spawn form shows. The planner is asked in a thread: with a long queue it takes a while."""
    snapshot, now = manager.snapshot(), manager.clock()
    verdicts = await asyncio.to_thread(trials, snapshot, user=asked.user, choices=[*asked.choices.values()], now=now)
    holding = manager.queue.holding()
    open_job = manager.queue.of_server(asked.user, asked.server)
    waiting = [job for job in manager.queue.jobs.values() if job.waiting]
    waits = {
        key: _wait(verdict.start, verdict.reason, now=now, unknown=snapshot.unknown)
        for key, verdict in zip(asked.choices, verdicts, strict=True)
    }
    return {
        "now": now,
        "problem": snapshot.unknown,
        "shown": form.view(
            reader=asked.user,
            jobs=tuple(manager.queue.jobs.values()),
            nodes=snapshot.nodes,
            limits=manager.policy.limits,
            max_lease=manager.policy.max_lease,
            now=now,
            unknown=snapshot.unknown,
        ),
        "waits": waits,
        "open": records.job(manager, open_job) if open_job else None,
        "nodes": [records.node(node, holding, names=False, reader=asked.user) for node in snapshot.nodes],
        "queue": {
            "jobs": len(waiting),
            "gpus": sum(job.resources.gpu_count for job in waiting),
            "longest": now - min((job.queued for job in waiting), default=now),
        },
        "limits": limits(manager, asked.user),
    }


def limits(manager: Manager, user: str) -> dict[str, Any]:
    """How much of each limit a user has used, and how much there is; null: no limit."""
    own = manager.queue.of_user(user)
    policy = manager.policy
    return {
        "queued_jobs": [sum(job.waiting for job in own), policy.queued_jobs or None],
        "running_jobs": [sum(job.holding for job in own), policy.running_jobs or None],
        "gpus": [sum(job.resources.gpu_count for job in own if job.holding), policy.gpus or None],
        "max_lease": policy.max_lease,
    }


def _wait(start: float | None, reason: Any, *, now: float, unknown: str) -> dict[str, Any]:
    code = str(reason.code) if reason else None
    words = reason.lead if reason else ""
    if unknown:
        return {"kind": "unknown", "start": None, "code": code, "words": unknown}
    if start is None:
        kind = "never" if code in ("never-fits", "own-limit") else "unknown"
        return {"kind": kind, "start": None, "code": code, "words": words}
    kind = "now" if start <= now else "wait"
    return {"kind": kind, "start": start, "code": code, "words": words}

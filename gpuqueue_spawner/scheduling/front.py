"""Whom a plan would admit at this moment, at the cost of those ahead: it ends at the first who has to wait for room.

A plan says the same, and what everybody else may expect: planner.py. Knows the rules of limits.py, placement.py and
pools.py, and keeps no decision: only servers on which nothing changed, to fill the books of the next moment sooner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model import Job, Node, Placement, State
from ..model.kept import Kept
from .amounts import Amount
from .limits import Ledger, Limits
from .placement import Shelves
from .pools import Pool, Pools
from .servers import Server
from .snapshot import Admit


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """Who starts now, and when to ask again though nothing happens."""

    admissions: tuple[Admit, ...] = ()  #: in the order of the queue
    due: float | None = None  #: Unix seconds, when the next who was passed may start; None: nobody waits for a moment


class Front:
    """The front of the line, asked again and again."""

    def __init__(self) -> None:
        self._servers: Kept[tuple[Node, tuple[Job, ...]], Server] = Kept()

    def ahead(
        self, *, nodes: Sequence[Node], holding: Sequence[Job], line: Iterable[Job], limits: Limits, now: float
    ) -> Ahead:
        """Look from the front until somebody has to wait for room.

        :param holding: jobs that hold a placement.
        :param line: those that wait, in the order of the queue; only as many are taken as are looked at.
        """
        servers = self._filled(nodes, holding)
        shelves, pools, ledger = Shelves(servers), Pools(nodes), Ledger(limits)
        for job in holding:
            ledger.take(job.user, job.resources.gpu_count)
        admissions: list[Admit] = []
        moments: list[float] = []
        for job in line:
            if job.state is State.HELD or job.resources.gpu_count > ledger.left(job.user):
                continue
            if job.not_before > now:
                moments.append(job.not_before)
                continue
            need, pool = Amount.of(job.resources), pools.of(job.constraints)
            server = shelves.best(need, pool, job.failed_on)
            if server is None and _possible(need, pool, servers):
                break
            if server is not None:
                placement = Placement(node=server.name, devices=server.choose(need))
                self._give(server, need, placement, shelves)
                ledger.take(job.user, need.gpu_count)
                admissions.append(Admit(job=job.id, placement=placement))
        return Ahead(admissions=tuple(admissions), due=min(moments, default=None))

    def _filled(self, nodes: Sequence[Node], holding: Iterable[Job]) -> tuple[Server, ...]:
        there: dict[str, list[Job]] = {}
        for job in holding:
            if job.placement is not None:
                there.setdefault(job.placement.node, []).append(job)
        questions = ((node.name, (node, tuple(there.get(node.name, ())))) for node in nodes)
        return self._servers.answers(questions, _fill)

    def _give(self, server: Server, need: Amount, placement: Placement, shelves: Shelves) -> None:
        shelves.remove(server)
        server.take(need, placement.devices)
        shelves.put(server)
        self._servers.forget(server.name)  # it counts what is not written yet, and may never be


def _fill(question: tuple[Node, tuple[Job, ...]]) -> Server:
    node, jobs = question
    server = Server(node)
    for job in jobs:
        if job.placement is not None:
            server.take(Amount.of(job.resources), job.placement.devices)
    return server


def _possible(need: Amount, pool: Pool, servers: Iterable[Server]) -> bool:
    """Whether it fits anywhere once nothing runs; who never fits keeps nobody waiting."""
    return any(need.within(server.whole) for server in servers if pool is None or server.name in pool)

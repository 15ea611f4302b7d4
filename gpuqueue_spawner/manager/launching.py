"""Permit one launch of a job, and let only the permitted process become its notebook.

Knows permits and claims. A permit is written before any process may exist; a later one voids it; a process that cannot
show the current one ends itself (spawner/wrapper.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from ..capacity import Capacity
from ..model import Job, Node, State
from ..scheduling import takes
from ..store import NodeMark
from . import decisions
from .decisions import Change, Refused
from .ending import Ending
from .manager import Manager
from .watching import Watch

log = logging.getLogger("gpuqueue")

CLEAN_S = 30.0  # how long a launch may wait until an earlier one is seen gone


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The right to launch a job once."""

    job: Job
    launch: int
    ticket: str  #: the launched process shows it once; a secret
    environment: Mapping[str, str]
    cgroups: tuple[str, ...]  #: files to write the own pid into before the notebook runs


class Launching:
    """Gives permits and takes claims."""

    def __init__(
        self, manager: Manager, capacity: Capacity, watch: Watch, ending: Ending, *, secret: bytes, instance: str
    ) -> None:
        self.manager, self.capacity, self.watch, self.ending = manager, capacity, watch, ending
        self.instance = instance
        self._secret = secret  # of the installation, so that a permit outlives this process

    async def permit(self, job_id: int, *, version: int | None) -> Permit:
        """Permit a launch. What is left of an earlier one is ended first: it is never adopted.

        :raises Refused: the state does not allow it, or an earlier launch could not be ended.
        """
        again = False

        def launch(job: Job) -> Change:
            nonlocal again
            again = job.state is not State.ADMITTED
            return decisions.launch(job, version=version)

        # Written first: from here on a process of an earlier launch that wakes up late is refused.
        job = await self.manager.decide(job_id, launch)
        # Of an admitted job too: a restored backup knows of no launch. Pods are ended by the Hub's spawner instead.
        if self.capacity.ends and (again or self.watch.traces(job.key)):
            await self._clean(job)
        await self._refuse_on_closed_node(job, again=again)
        cgroups = await asyncio.to_thread(self.capacity.prepare, job.key)
        mark = {"GPUQUEUE_JOB": f"{self.instance}/{job.key}/{job.launch}"}
        environment = mark | self.capacity.environment(job.placement.devices if job.placement else ())
        return Permit(job=job, launch=job.launch, ticket=self._ticket(job), environment=environment, cgroups=cgroups)

    async def _refuse_on_closed_node(self, job: Job, *, again: bool) -> None:
        """Send it back to its place in the queue where its node died, or was closed, after it was given its place.

        :param again: it was launched there before.
        :raises Refused: that was so.
        """
        if job.placement is None:
            return
        room, name = self.manager.room, job.placement.node
        words = _drained(name, room.marks.get(name), again=again)
        if not words and not room.unknown:  # else it was admitted on what was known then
            words = _closed(next((node for node in room.nodes if node.name == name), None), job)
        if words:
            await self.manager.decide(
                job.id, lambda job: decisions.unlaunch(job, launch=job.launch, message=f"Not started: {words}.")
            )
            raise Refused("gpuqueue.launch.node", f"job {job.id} is not launched: {words}")

    async def _clean(self, job: Job) -> None:
        try:
            async with asyncio.timeout(CLEAN_S):
                await self.ending.sweep(job.key)
                await self.watch.gone(job.key)
        except TimeoutError:
            raise Refused("gpuqueue.launch.alive", f"an earlier launch of job {job.id} has not ended yet") from None

    async def claim(self, ticket: str, *, pid: int, started: int) -> Job:
        """Let a launched process become the notebook.

        :raises Refused: the ticket is forged, void or used.
        """
        job, launch = self._of(ticket)
        devices = job.placement.devices if job.placement else ()
        adopted = await asyncio.to_thread(
            self.capacity.adopt, job.key, pid=pid, started=started, launch=launch, devices=devices
        )
        if not adopted:
            raise Refused("gpuqueue.launch.refused", f"process {pid} does not live, or is not of launch {launch}")
        return await self.manager.decide(
            job.id, lambda job: decisions.claim(job, launch=launch, pid=pid, started=started)
        )

    def _of(self, ticket: str) -> tuple[Job, int]:
        words = ticket.split(".")
        job = self.manager.queue.jobs.get(int(words[0])) if len(words) == 3 and words[0].isdecimal() else None
        if job is None or not words[1].isdecimal() or not hmac.compare_digest(ticket, self._ticket(job)):
            raise Refused("gpuqueue.launch.refused", "this launch is not permitted, or not any more")
        return job, int(words[1])

    def _ticket(self, job: Job) -> str:
        signature = hmac.new(self._secret, f"launch/{job.key}/{job.launch}".encode(), hashlib.sha256).hexdigest()
        return f"{job.id}.{job.launch}.{signature}"


def _drained(node: str, mark: NodeMark | None, *, again: bool) -> str:
    """Why nothing may be launched on a node that was taken out of service; empty: it may.

    An admin's drain lets go on what was there, also when it starts anew. The queue's own says that the node was lost.
    """
    if mark is None or not mark.drained or (again and mark.by):
        return ""
    return f"{node} is drained: {mark.note}".rstrip(".: ")


def _closed(node: Node | None, job: Job) -> str:
    """Why nothing of the job may be launched on its node; empty: it may."""
    if node is None:
        return "its server is not there any more"
    if node.drained or job.constraints.kept_out_by(node.taints):
        return f"{node.name} is {node.note}"
    return "" if takes(node, job.constraints) else f"{node.name} is not of the kind that it asks for any more"

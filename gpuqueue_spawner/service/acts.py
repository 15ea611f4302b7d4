"""What people do to jobs and nodes: one function for each act, used by the API and by the forms of the pages alike.

Knows rights and the manager. Each act lands in the job's event log with the name of who did it and an optional note.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from ..manager import decisions
from ..manager.decisions import Change
from ..manager.manager import Manager
from ..model import Job
from .errors import BadInput, Forbidden
from .readers import Reader

Act = Callable[[Manager, Reader, Job, str], Awaitable[Job]]


async def cancel(manager: Manager, reader: Reader, job: Job, note: str) -> Job:
    """Withdraw a request that waits."""
    _may_move(reader, job)
    now = manager.clock()
    return await manager.decide(job.id, lambda job: decisions.cancel(job, now=now, by=reader.name, note=note))


async def stop(manager: Manager, reader: Reader, job: Job, note: str) -> Job:
    """End it, whatever its state."""
    _may_move(reader, job)
    now = manager.clock()

    def stopped(job: Job) -> Change | None:
        change = decisions.stop(job, now=now, by=reader.name, note=note)
        if change is None:
            raise decisions.Refused("gpuqueue.job.state", f"job {job.id} is ending already", job=job)
        return change

    return await manager.decide(job.id, stopped)


async def restart(manager: Manager, reader: Reader, job: Job, note: str) -> Job:
    """Stop its server and start it anew on the same GPUs."""
    _may_move(reader, job)
    return await manager.decide(job.id, lambda job: decisions.restart(job, by=reader.name, note=note))


async def extend(manager: Manager, reader: Reader, job: Job, note: str) -> Job:
    """Let it run longer, within the site's limit."""
    _may_move(reader, job)
    policy = manager.policy
    return await manager.decide(
        job.id,
        lambda job: decisions.extend(
            job, by=reader.name, seconds=policy.extend_by, limit=policy.max_extension, note=note
        ),
    )


async def hold(manager: Manager, reader: Reader, job: Job, note: str) -> Job:
    """Hold it back; it keeps its place."""
    _may_operate(reader)
    return await manager.decide(job.id, lambda job: decisions.hold(job, by=reader.name, note=note))


async def release(manager: Manager, reader: Reader, job: Job, note: str) -> Job:
    """Let a held job go on."""
    _may_operate(reader)
    return await manager.decide(job.id, lambda job: decisions.release(job, by=reader.name, note=note))


ACTS: Mapping[str, Act] = {
    "cancel": cancel,
    "stop": stop,
    "restart": restart,
    "extend": extend,
    "hold": hold,
    "release": release,
}


async def act(manager: Manager, reader: Reader, job: Job, name: str, note: str) -> Job:
    """Do one of ACTS.

    :raises BadInput: there is no such act.
    """
    if name not in ACTS:
        raise BadInput("action", name, "one of " + ", ".join(ACTS), code="gpuqueue.action")
    return await ACTS[name](manager, reader, job, note)


async def end_all(manager: Manager, reader: Reader, user: str, note: str) -> list[Job]:
    """End every open job of a user."""
    _may_operate(reader)
    now = manager.clock()
    mine = [job for job in manager.queue.jobs.values() if job.user == user]
    return [
        await manager.decide(job.id, lambda job: decisions.stop(job, now=now, by=reader.name, note=note))
        for job in mine
    ]


async def drain(manager: Manager, reader: Reader, node: str, note: str, *, drained: bool) -> None:
    """Take a node out of use for new jobs, or back.

    :raises BadInput: there is no such node.
    """
    _may_operate(reader)
    names = [each.name for each in manager.room.nodes]
    if node not in names:
        raise BadInput("node", node, "one of " + ", ".join(names), code="gpuqueue.node")
    await manager.mark_node(node, drained=drained, note=note, by=reader.name)


def _may_move(reader: Reader, job: Job) -> None:
    if not reader.moves(job):
        raise Forbidden("only its owner and the GPU team may do this")


def _may_operate(reader: Reader) -> None:
    if not reader.operates:
        raise Forbidden("only the GPU team may do this")

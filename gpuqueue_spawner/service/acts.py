"""What people do to jobs and nodes: one function for each act, used by the API and by the forms of the pages alike.

Knows rights and the manager. Each act lands in the job's event log with the name of who did it and an optional note.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from ..manager import decisions
from ..manager.decisions import Change, Refused
from ..manager.manager import Manager
from ..model import Event, InvalidTransition, Job, possible
from .errors import BadInput, Forbidden, NotPossible
from .readers import Reader

STATE = "gpuqueue.job.state"
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

_EVENTS = {
    "cancel": Event.CANCEL,
    "stop": Event.STOP,
    "restart": Event.RESTART,
    "extend": Event.EXTEND,
    "hold": Event.HOLD,
    "release": Event.RELEASE,
}
_OPERATORS = frozenset({"hold", "release"})


def possible_acts(job: Job, reader: Reader) -> tuple[str, ...]:
    """The acts that the transition table allows in the job's state and this reader may do."""
    allowed = set(possible(job.state))
    if Event.CANCEL in allowed:
        allowed.add(Event.STOP)  # "stop" ends it whatever its state
    if job.end is not None:
        allowed.discard(Event.STOP)  # on its way to its one end
    mine = reader.moves(job)
    return tuple(
        name for name in ACTS if _EVENTS[name] in allowed and (reader.operates if name in _OPERATORS else mine)
    )


async def act(manager: Manager, reader: Reader, job: Job, name: str, note: str) -> Job:
    """Do one of ACTS.

    :raises BadInput: there is no such act.
    :raises Forbidden: it is not this reader's to do.
    :raises NotPossible: the job's state does not allow it.
    """
    if name not in ACTS:
        raise BadInput("action", name, "one of " + ", ".join(ACTS), code="gpuqueue.action")
    try:
        return await ACTS[name](manager, reader, job, note)
    except (InvalidTransition, Refused, KeyError) as refusal:
        if isinstance(refusal, KeyError) and refusal.args != (job.id,):
            raise  # not that the job has ended, but a bug of ours
        now = await manager.job(job.id) or job
        code, words = STATE, f"job {job.id} is {now.state}: cannot {name}"
        if isinstance(refusal, Refused) and refusal.code != STATE:
            code, words = refusal.code, str(refusal)
        others = [act for act in possible_acts(now, reader) if act != name]
        raise NotPossible(now, code, words, others) from None


async def end_all(manager: Manager, reader: Reader, user: str, note: str) -> list[Job]:
    """End every open job of a user; returns them. One that ends meanwhile needs no more.

    :raises Forbidden: it is not this reader's to do.
    """
    _may_administer(reader)
    now = manager.clock()
    ended = []
    for job in manager.queue.of_user(user):
        with suppress(KeyError):
            ended.append(
                await manager.decide(job.id, lambda job: decisions.stop(job, now=now, by=reader.name, note=note))
            )
    return ended


async def drain(manager: Manager, reader: Reader, node: str, note: str, *, drained: bool) -> None:
    """Take a node out of use for new jobs, or back.

    :raises BadInput: there is no such node.
    :raises Forbidden: it is not this reader's to do.
    """
    _may_administer(reader)
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


def _may_administer(reader: Reader) -> None:
    if not reader.administers:
        raise Forbidden("only the GPU team's admins may do this")

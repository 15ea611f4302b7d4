"""Why a job waits, in the words its owner reads: the sentence, and what shows it.

Which reason holds: planner.py. No reason holds another user's name, note or limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..model import Constraints, Reason, ReasonCode
from ..model.pods import PODS
from . import words
from .amounts import MICRO, Amount
from .limits import GPUS_AT_ONCE, Excess
from .pools import Pool
from .servers import Server

NOWHERE = "Fits nowhere as it is:"


def hold(note: str) -> Reason:
    """An admin holds it back; `note`: the admin's words."""
    proof = f"“{note}”" if note else ""
    return Reason(code=ReasonCode.HOLD, lead="The GPU team put this request on hold.", proof=proof)


def own_limit(excess: Excess) -> Reason:
    """Its user holds as much as is allowed."""
    lead = f"Over your limit “{excess.limit}”: {excess.used} of {excess.of}."
    proof = f"This request asks for {excess.wanted} more." if excess.limit == GPUS_AT_ONCE else ""
    return Reason(code=ReasonCode.OWN_LIMIT, lead=lead, proof=proof)


def capacity_unknown(why: str) -> Reason:
    """Nobody is admitted; `why`: a sentence for people."""
    return Reason(code=ReasonCode.CAPACITY_UNKNOWN, lead=why)


def order(ahead: int) -> Reason:
    """Others are first, and one of them waits for room."""
    return Reason(code=ReasonCode.ORDER, lead=f"Behind {ahead} {'other' if ahead == 1 else 'others'}.")


def not_before(failure: str) -> Reason:
    """Its last launch failed a moment ago; `failure`: what went wrong."""
    return Reason(
        code=ReasonCode.NOT_BEFORE, lead="Its last start failed. It is tried again in a moment.", proof=failure
    )


def never_fits(need: Amount, sizes: Sequence[Amount], *, everywhere: bool) -> Reason:
    """No server is large enough. Names the first amount that is too large, and what is possible.

    :param everywhere: whether every server would do; else what is possible is so on those that would.
    """
    proof = "" if everywhere else "Only servers of the kind that it asks for count."
    return Reason(code=ReasonCode.NEVER_FITS, lead=f"{NOWHERE} {_too_large(need, sizes)}", proof=proof)


def never_matches(demand: Constraints) -> Reason:
    """No server is of the kind that it asks for."""
    labels = words.listing(f"{key}={value}" for key, value in demand.selector)
    kind = "that it asks for" + (f" ({labels})" if demand.selector else "")
    return Reason(code=ReasonCode.NEVER_FITS, lead=f"{NOWHERE} there is no server of the kind {kind}.")


def kept_out(taints: Iterable[str]) -> Reason:
    """Every server that would do is tainted; `taints`: their keys."""
    lead = f"{NOWHERE} every server that is large enough is closed to it."
    proof = f"It does not tolerate the taint {words.listing(sorted(taints))}."
    return Reason(code=ReasonCode.NEVER_FITS, lead=lead, proof=proof)


def never_allowed(need: Amount, limit: int) -> Reason:
    """It asks for more GPUs than its user may ever hold."""
    lead = f"{NOWHERE} {_gpus(need.gpu_count)}, {_up_to(limit)}."
    return Reason(code=ReasonCode.NEVER_FITS, lead=lead, proof=f"Your limit “{GPUS_AT_ONCE}” is {limit}.")


def resources(need: Amount, servers: Sequence[Server], pool: Pool) -> Reason:
    """It is the first in line, and no server of its pool has room."""
    open_to_it = [server for server in servers if pool is None or server.name in pool]
    usable = [server for server in open_to_it if not server.drained and need.within(server.whole)]
    if not usable:
        proof = _drained(servers) if pool is None else "All servers that it can use are drained."
        return Reason(code=ReasonCode.RESOURCES, lead=_waits_for(need), proof=proof)
    lead, proof = _shortage(need, usable, _any_server(servers, usable))
    return Reason(code=ReasonCode.RESOURCES, lead=lead, proof=f"{proof}{_outside(need, usable)}")


def _drained(servers: Sequence[Server]) -> str:
    if not all(server.drained for server in servers):
        return "All servers that are large enough are drained."
    return "The server is drained." if len(servers) == 1 else "All servers are drained."


def _too_large(need: Amount, sizes: Sequence[Amount]) -> str:
    if not sizes:
        return "there is no server."
    for name, count in need.gpus:
        most = max(size.of_kind(name) for size in sizes)
        if count > most:
            return f"{words.gpus(name, count)}, {_up_to(most)}."
    if need.cpus > (cpus := max(size.cpus for size in sizes)):
        return f"{words.cpus(need.cpus)}, up to {words.number(cpus / MICRO)} is possible."
    if need.memory > (memory := max(size.memory for size in sizes)):
        return f"{words.memory(need.memory)} of memory, up to {words.memory(memory, at_most=True)} is possible."
    for name, count in need.others:
        most = max(size.of_other(name) for size in sizes)
        if count > most:
            return f"{words.other(name, count)}, {f'up to {words.other(name, most)}' if most else 'none'} is possible."
    return f"no server has {words.everything(need)} together."


def _up_to(most: int) -> str:
    if most == 0:
        return "none is possible"
    return "1 is possible" if most == 1 else f"1 to {most} is possible"


def _gpus(count: int) -> str:
    return f"{count} {'GPU' if count == 1 else 'GPUs'}"


def _waits_for(need: Amount) -> str:
    return f"Waits for {words.everything(need)} on one server."


def _any_server(servers: Sequence[Server], usable: Sequence[Server]) -> str:
    """Whom a "most free" is said of: all servers, or only those that the job could use."""
    return "any server" if len(usable) == sum(not server.drained for server in servers) else "any server it can use"


def _shortage(need: Amount, usable: Sequence[Server], where: str) -> tuple[str, str]:
    """The first amount that is free nowhere, and how much of it is."""
    for name, count in need.gpus:
        if count > (most := max(server.count(name) for server in usable)):
            on_one = " on one server" if count > 1 else ""
            return f"Waits for {words.gpus(name, count, free=True)}{on_one}.", _most(most, str(most), where)
    if need.cpus > (cpus := max(server.cpus for server in usable)):
        lead = f"Waits for {words.cpus(need.cpus, free=True)} on one server."
        return lead, _most(cpus, words.number(cpus / MICRO), where)
    if need.memory > (memory := max(server.memory for server in usable)):
        lead = f"Waits for {words.memory(need.memory)} of free memory on one server."
        return lead, _most(memory, words.memory(max(0, memory), at_most=True), where)
    for name, count in need.others:
        most = max(server.others.get(name, 0) for server in usable)
        if name == PODS and count > most:
            return "Waits for a server that may run one more.", "Each runs as many as it may."
        if count > most:
            return f"Waits for {words.other(name, count)} on one server.", _most(most, words.other(name, most), where)
    return _waits_for(need), "Enough of each is free, but not on the same server."


def _most(free: int, in_words: str, where: str) -> str:
    """`free` is negative where more was given out than there is now."""
    return f"The most free on {where} is {in_words}." if free > 0 else f"None is free on {where}."


def _outside(need: Amount, usable: Sequence[Server]) -> str:
    """Name the first server where only a GPU used from outside the queue is in the way."""
    for server in usable:
        if server.would_fit(need):
            n = sum(len(server.foreign.get(name, ())) for name, _ in need.gpus)
            return f" On {server.name}, {_gpus(n)} {'is' if n == 1 else 'are'} used from outside the queue."
    return ""

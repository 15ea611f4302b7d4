"""What a happening does to one job: pure decisions that answer with a Change, with None for "nothing to do", or refuse.

Knows records and the transition table. Who writes a Change: manager.py. Who asks: service/ and the loops beside it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import Cause, End, Event, Fate, InvalidTransition, Job, NewJob, Placement, State, possible

WITHOUT_PROCESS = frozenset({State.QUEUED, State.HELD, State.ADMITTED})
LAUNCHABLE = frozenset({State.ADMITTED, State.STARTING, State.RESTARTING})


IN_HUB = "JupyterHub"  #: by whom, where somebody did it in the Hub, which does not tell who
SHUT_DOWN = "It was shut down from within."
UNSEEN = "It ended by itself; with what status is not known, for JupyterHub was restarted meanwhile or did not tell."
REBOOTED = "The machine was restarted."
DELETED = "Somebody deleted it in the cluster, not through the queue."
VANISHED = "The server was gone from the cluster, and nobody saw why. It is started anew."


class Refused(Exception):
    """A request that the job's state or the site's rules do not allow; `code` never changes."""

    def __init__(self, code: str, message: str, *, job: Job | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.job = code, message, job

    @property
    def possible(self) -> tuple[str, ...]:
        """What may happen to the job instead."""
        return tuple(str(event) for event in possible(self.job.state)) if self.job else ()


class OverLimit(Refused):
    """A request for more than the site allows; names the field, its value and what is allowed."""

    def __init__(self, code: str, message: str, *, field: str, value: object, allowed: str) -> None:
        super().__init__(f"gpuqueue.limit.{code}", message)
        self.field, self.value, self.allowed = field, value, allowed


@dataclass(frozen=True, kw_only=True)
class Change:
    """One line of the transition table, about to be written."""

    event: Event
    by: str = ""  #: who did it; empty: the queue itself
    note: str = ""  #: words of a person
    detail: Mapping[str, Any] = field(default_factory=dict)  #: for the job's story
    fields: Mapping[str, Any] = field(default_factory=dict)  #: fields of the job


def admit(job: Job, placement: Placement, *, version: int, now: float) -> Change | None:
    """Give it its place, unless it moved since the plan was made."""
    if job.version != version or job.state is not State.QUEUED:
        return None
    detail = {"node": placement.node, "devices": list(placement.devices)}
    return Change(event=Event.ADMIT, detail=detail, fields={"placement": placement, "admitted": now})


def replaced(job: Job, new: NewJob, *, now: float) -> Change | None:
    """Take the options of a new request of the same server. Equal options keep the place; others get a new one.

    Equal options may mean other amounts: the site changed a profile, or its default hours. That costs nobody a place.

    :raises Refused: the job is on its way out.
    """
    if job.state is State.STOPPING:
        raise Refused("gpuqueue.job.stopping", f"job {job.id} is still ending", job=job)
    if job.state is State.RUNNING:
        return restart(job, by="", note="JupyterHub had lost this server; it is started anew.")
    if job.state not in WITHOUT_PROCESS or same_wish(job, new):
        return None
    kept = dict(job.options) == dict(new.options)
    fields = {
        "request": new.request,
        "name": new.name,
        "profile": new.profile,
        "resources": new.resources,
        "constraints": new.constraints,
        "lease": new.lease,
        "options": dict(new.options),
        "uid": new.uid,
        "not_before": 0.0,
        "placement": None,
        "admitted": None,
        "failures": 0,
        "failed_on": (),
    }
    if kept:
        return Change(event=Event.REPLACE, detail={"kept": True}, fields=fields)
    return Change(event=Event.REPLACE, by=job.user, fields={**fields, "queued": now})


def same_wish(job: Job, new: NewJob) -> bool:
    """Whether the new request asks for the same as the job."""
    before, after = ((it.resources, it.constraints, it.lease, dict(it.options)) for it in (job, new))
    return before == after


def hold(job: Job, *, by: str, note: str) -> Change:
    """Hold it back; it keeps its place."""
    return Change(event=Event.HOLD, by=by, note=note, fields={"message": note})


def release(job: Job, *, by: str, note: str) -> Change:
    """Let it go on."""
    return Change(event=Event.RELEASE, by=by, note=note, fields={"message": ""})


def stop(
    job: Job, *, now: float, by: str = "", note: str = "", end: End = End.STOPPED, message: str = ""
) -> Change | None:
    """End it, whatever its state: at once where no process can exist, else once its last process is seen gone."""
    if job.state is State.ENDED or (job.state is State.STOPPING and job.end is not None):
        return None
    if job.state in WITHOUT_PROCESS:
        end = End.CANCELLED if end is End.STOPPED else end
        event = Event.REJECT if end is End.REJECTED else Event.CANCEL
        fields: dict[str, Any] = {"end": end, "message": message or note, "ended": now}
        return Change(event=event, by=by, note=note, detail={"end": str(end), "message": message}, fields=fields)
    fields = {"end": end, "message": message or note}
    return Change(event=Event.STOP, by=by, note=note, detail={"end": str(end), "message": message}, fields=fields)


def taken(job: Job, *, launch: int, words: str) -> Change | None:
    """What it runs in was taken away from it, against its owner's will: it goes back to its place, and starts anew."""
    if job.launch != launch or job.state not in (State.STARTING, State.RUNNING):
        return None
    return Change(event=Event.STOP, note=words, detail={"launch": launch, "taken": True}, fields={"message": words})


def exited(
    job: Job,
    *,
    launch: int,
    status: int | None,
    now: float,
    booted: float = 0.0,
    fate: Fate | None = None,
    takes_away: bool = False,
) -> Change | None:
    """Its server ended and nobody stopped it: well with status 0, else not. What nobody saw is not called a failure.

    :param status: of its process, below 0 the signal that ended it, None: not known.
    :param booted: Unix seconds; what ran before ended with the machine.
    :param fate: what became of its pod, as far as anybody saw.
    :param takes_away: of the place where it ran; see Capacity.
    """
    if job.launch != launch or job.state is not State.RUNNING:
        return None
    if fate is not None and fate.cause in (Cause.TAKEN, Cause.REFUSED):
        return taken(job, launch=launch, words=fate.words)
    ended = fate is not None and fate.cause is Cause.ENDED
    if fate is not None and ended:
        status = fate.status if status is None else status
    if status is None and fate is not None and fate.cause is Cause.DELETED:
        return stop(job, now=now, end=End.STOPPED, message=DELETED)
    if status is None and takes_away and not ended:
        return taken(job, launch=launch, words=VANISHED)
    if fate is not None and ended and fate.words:
        return stop(job, now=now, end=End.FAILED, message=fate.words)
    if status is None:
        rebooted = job.started is not None and job.started < booted
        end, message = (End.FAILED, REBOOTED) if rebooted else (End.COMPLETED, UNSEEN)
    elif status == 0:
        end, message = End.COMPLETED, SHUT_DOWN
    else:
        end, message = End.FAILED, f"The notebook {_status_words(status)}."
    return stop(job, now=now, end=end, message=message)


def _status_words(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    names = {each.value: f" ({each.name})" for each in signal.Signals}
    return f"was ended by signal {-status}{names.get(-status, '')}"


def cancel(job: Job, *, now: float, by: str, note: str = "") -> Change | None:
    """Withdraw a request that waits.

    :raises Refused: something was launched already; stopping is another act.
    """
    if job.state not in WITHOUT_PROCESS:
        raise Refused("gpuqueue.job.state", f"job {job.id} is {job.state}: cannot cancel it, stop it instead", job=job)
    return stop(job, now=now, by=by, note=note)


def gone(job: Job, *, now: float, retry_delay: float, lost: str = "") -> Change | None:
    """Its last process was seen gone: its one end, or back to its place in the queue.

    :param lost: the node that died with it, so that nobody can tell whether it is.
    """
    if job.state is not State.STOPPING:
        return None
    if job.end is None:
        fields: dict[str, Any] = {"placement": None, "admitted": None, "pid": None, "pid_started": None}
        fields |= {"ends": None, "warned": None}  # what waits uses up no lease; it is given whole when it runs again
        note = f"{lost} was lost. What ran there may still write to its files." if lost else ""
        fields |= {"message": f"{job.message} {note}".strip()} if lost else {}
        ran = job.ends is not None and not job.failures  # taken away: nobody may pass it meanwhile
        return Change(
            event=Event.REQUEUE, note=note, fields={**fields, "not_before": 0.0 if ran else now + retry_delay}
        )
    return Change(event=Event.GONE, detail={"end": str(job.end)}, fields={"ended": now})


def not_before(job: Job, *, now: float, retry_delay: float) -> float:
    """The moment before which it is not admitted, also once the clock was set back: no delay is longer than this."""
    return 0.0 if job.not_before > now + retry_delay else job.not_before


def requeue(job: Job, *, note: str) -> Change | None:
    """Take the GPUs back from a job that was admitted and not launched."""
    if job.state is not State.ADMITTED:
        return None
    return Change(event=Event.REQUEUE, note=note, fields={"placement": None, "admitted": None})


def launch(job: Job, *, version: int | None) -> Change:
    """Permit one launch; any earlier permit is void from now on.

    :raises Refused: nothing may be launched in this state, or the job moved since it was read.
    """
    if job.state not in LAUNCHABLE:
        raise Refused("gpuqueue.job.state", f"job {job.id} is {job.state}: cannot launch", job=job)
    if version is not None and version != job.version:
        raise Refused("gpuqueue.job.changed", f"job {job.id} moved since it was read", job=job)
    number = job.launch + 1
    fields = {"launch": number, "pid": None, "pid_started": None}
    return Change(event=Event.LAUNCH, detail={"launch": number}, fields=fields)


def claim(job: Job, *, launch: int, pid: int, started: int) -> Change | None:
    """A launched process names itself, and only then becomes the notebook. The same claim again is harmless.

    :raises Refused: the permit is void, or another process used it.
    """
    if job.state is State.STARTING and job.launch == launch:
        if job.pid is None:
            return Change(
                event=Event.CLAIM,
                detail={"launch": launch, "pid": pid},
                fields={"pid": pid, "pid_started": started},
            )
        if (job.pid, job.pid_started) == (pid, started):
            return None
    raise Refused("gpuqueue.launch.refused", f"launch {launch} of job {job.id} is not permitted any more", job=job)


def ready(job: Job, *, launch: int, now: float) -> Change | None:
    """The notebook answers: the lease begins, unless it runs already.

    :raises Refused: another launch took its place, or the job is on its way out.
    """
    if job.launch == launch and job.state is State.RUNNING:
        return None
    if job.launch != launch or job.state is not State.STARTING:
        raise Refused("gpuqueue.launch.refused", f"launch {launch} of job {job.id} is not the current one", job=job)
    ends = job.ends if job.ends is not None else now + job.lease
    fields = {"started": job.started or now, "ends": ends, "failures": 0, "failed_on": (), "message": ""}
    return Change(event=Event.READY, detail={"ends": ends}, fields=fields)


def failed(job: Job, *, launch: int, message: str, retries: int) -> Change | None:
    """A launch failed: its GPUs go back, and it is tried again at its old place a bounded number of times.

    Elsewhere where it can be: the fault may be the node's.
    """
    if job.launch != launch or job.state is not State.STARTING:
        return None
    failures = job.failures + 1
    there = {job.placement.node} if job.placement else set()
    failed_on = tuple(sorted(there.union(job.failed_on)))
    fields: dict[str, Any] = {"failures": failures, "failed_on": failed_on, "message": message}
    if failures > retries:
        fields["end"] = End.FAILED
    return Change(event=Event.STOP, note=message, detail={"launch": launch, "failures": failures}, fields=fields)


def unlaunch(job: Job, *, launch: int, message: str) -> Change | None:
    """Nobody goes on with a launch: its GPUs go back and it keeps its place. That is no failure of its own."""
    if job.launch != launch or job.state is not State.STARTING:
        return None
    return Change(event=Event.STOP, note=message, detail={"launch": launch}, fields={"message": message})


def restart(job: Job, *, by: str, note: str = "") -> Change:
    """Stop the server and start it anew on the same GPUs.

    :raises InvalidTransition: it does not run.
    """
    if job.state is not State.RUNNING:
        raise InvalidTransition(job.id, job.state, Event.RESTART)
    return Change(event=Event.RESTART, by=by, note=note, fields={})


def extend(job: Job, *, by: str, seconds: float, limit: float, note: str = "") -> Change:
    """Let it run longer, within what the site allows.

    :raises Refused: extending is switched off, or used up.
    """
    if job.state is not State.RUNNING or job.ends is None:
        raise InvalidTransition(job.id, job.state, Event.EXTEND)
    room = limit - job.extended
    if seconds <= 0 or room <= 0:
        words = "extending is switched off" if limit <= 0 or seconds <= 0 else "it was extended as often as is allowed"
        raise Refused("gpuqueue.job.extension-limit", f"job {job.id} cannot run longer: {words}", job=job)
    seconds = min(seconds, room)
    ends = job.ends + seconds
    fields = {"ends": ends, "extended": job.extended + seconds, "warned": None}
    return Change(event=Event.EXTEND, by=by, note=note, detail={"seconds": seconds, "ends": ends}, fields=fields)


def lease(job: Job, *, now: float, warning: float, since: float) -> Change | None:
    """What the clock does to a job whose lease runs: warn its owner, end it, or neither.

    It ends only when its owner had the warning time: a lease that ran out unseen gets it anew. `since` is when somebody
    began to watch the leases: the start of this leader, or the last jump of the clock.
    """
    if job.ends is None:
        return None
    if job.state in (State.RESTARTING, State.STARTING):  # nobody to warn; one that never comes back must not hold GPUs
        overdue = now >= max(job.ends, since) + warning
        return stop(job, now=now, end=End.EXPIRED, message="Its time was up.") if overdue else None
    if job.state is not State.RUNNING:
        return None
    ran_out_unseen = job.ends < since
    warned = job.warned is not None and job.warned <= now and not (ran_out_unseen and job.warned < since)
    if not warned:
        if now < job.ends - warning:
            return None
        ends = max(job.ends, now + warning) if ran_out_unseen or job.ends < now else job.ends
        return Change(event=Event.WARN, detail={"ends": ends}, fields={"warned": now, "ends": ends})
    if now < job.ends:
        return None
    return stop(job, now=now, end=End.EXPIRED, message="Its time was up.")

"""What runs although the queue does not know that it runs: after a restored backup, whose database is older than that.

Pure decisions on one job: to write, step by step, what is true already, or to end what another server has replaced. Who
sees what runs: watching.py. Who asks the Hub: resume.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..model import End, Event, Job, Placement, State
from . import decisions
from .decisions import WITHOUT_PROCESS, Change

FOUND = "It runs already: the queue's database was restored from an older copy."
REPLACED = "JupyterHub runs another server of this name, which the restored queue does not know."


@dataclass(frozen=True, kw_only=True)
class Running:
    """What the processes of a job tell of it."""

    launch: int
    placement: Placement
    pid: int  #: of its server
    pid_started: int

    def of(self, job: Job) -> bool:
        """Whether it can be what the job asked for. A mark can be forged: nobody gets more by one than he asked for."""
        return self.launch >= job.launch and len(self.placement.devices) <= job.resources.gpu_count


def found(job: Job, running: Running, *, now: float) -> Change | None:
    """The next step towards a job that runs; None: it does, or what was found is not its own."""
    if not running.of(job):
        return None
    match job.state:
        case State.HELD:
            return decisions.release(job, by="", note=FOUND)
        case State.QUEUED:
            change = decisions.admit(job, running.placement, version=job.version, now=now)
            return replace(change, note=FOUND) if change else None
        case State.STARTING if _same(job, running):
            change = decisions.ready(job, launch=job.launch, now=now)
            named = {"pid": running.pid, "pid_started": running.pid_started}
            return replace(change, note=FOUND, fields={**change.fields, **named}) if change else None
        case State.ADMITTED | State.STARTING:
            return _launched(running)
        case State.RESTARTING if job.launch < running.launch:
            return _launched(running)
        case State.RUNNING if job.launch < running.launch:
            return decisions.restart(job, by="", note=FOUND)
    return None


def _same(job: Job, running: Running) -> bool:
    known = job.placement
    if known is None or (job.launch, known.node) != (running.launch, running.placement.node):
        return False
    return {*known.devices} == {*running.placement.devices}


def _launched(running: Running) -> Change:
    fields = {"launch": running.launch, "placement": running.placement, "pid": None, "pid_started": None}
    return Change(event=Event.LAUNCH, note=FOUND, detail={"launch": running.launch}, fields=fields)


def superseded(job: Job, *, now: float) -> Change | None:
    """Another server of its name lives, and no process of its own: it ended after the copy was made.

    One that may have had a process gives its GPUs back first. The Hub is not asked to stop anything.
    """
    if job.state in WITHOUT_PROCESS:
        return decisions.stop(job, now=now, end=End.CANCELLED, message=REPLACED)
    if job.state in (State.STARTING, State.RESTARTING):
        return Change(event=Event.STOP, note=REPLACED, detail={"launch": job.launch}, fields={"message": REPLACED})
    return None

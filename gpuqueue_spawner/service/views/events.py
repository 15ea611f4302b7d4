"""What an event of a job's log says, in words. One line of the table below for each event of model/states.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Event, Job, Node, Resources
from . import words
from .moments import Words, moment

if TYPE_CHECKING:
    from ...store import LoggedEvent


@dataclass(frozen=True, kw_only=True)
class Said:
    """One event in words."""

    icon: str
    tone: str
    words: Words
    detail: Words = ()
    note: str = ""  #: what a person wrote, quoted


@dataclass(frozen=True, kw_only=True)
class _Context:
    event: LoggedEvent
    job: Job
    reader: str
    index: Mapping[str, int]
    now: float

    @property
    def by(self) -> str:
        """ "by you", "by rbaker", with a space before; empty where the queue did it itself."""
        return f" {words.by(self.event.by, reader=self.reader)}" if self.event.by else ""


def tell(event: LoggedEvent, *, job: Job, reader: str, index: Mapping[str, int], now: float) -> Said:
    """Word one event for one reader."""
    return _TELL[event.event](_Context(event=event, job=job, reader=reader, index=index, now=now))


def numbers(nodes: Iterable[Node]) -> dict[str, int]:
    """By which number people know each GPU; those that are only counted are not in it."""
    return {device.id: device.index for node in nodes for device in node.devices if device.numbered}


def place(node: str, devices: Sequence[str], index: Mapping[str, int], held: Resources) -> str:
    """Say where: "dgx2, GPUs 4 and 5"; without numbers "dgx2, 2 GPUs". `held`: what the job takes there."""
    known = [index[device] for device in devices if device in index]
    if not devices:
        return node
    if len(known) < len(devices):
        return f"{node}, {words.gpus(held) or words.count(len(devices), 'GPU')}"
    return f"{node}, {'GPU' if len(devices) == 1 else 'GPUs'} {_listed(known)}"


def _listed(numbers: list[int]) -> str:
    numbers = sorted(numbers)
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return words.listing([str(n) for n in numbers])


def _submit(it: _Context) -> Said:
    asked = f"Asked for {words.size(it.job.resources)} for {words.duration(it.job.lease)}."
    return Said(icon="paper-plane", tone="waiting", words=(asked,))


def _replace(it: _Context) -> Said:
    if it.event.detail.get("kept"):
        return Said(icon="pen", tone="waiting", words=("The site changed what this choice takes. The place is kept.",))
    return Said(icon="pen", tone="waiting", words=("Other choices, and with them a new place at the end of the line.",))


def _hold(it: _Context) -> Said:
    return Said(icon="pause", tone="warn", words=(f"On hold{it.by}.",), note=it.event.note)


def _release(it: _Context) -> Said:
    return Said(icon="play", tone="waiting", words=(f"Released{it.by}, at its old place.",), note=it.event.note)


def _cancel(it: _Context) -> Said:
    return Said(icon="xmark", tone="ended", words=(f"Cancelled{it.by}.",), note=it.event.note)


def _reject(it: _Context) -> Said:
    why = it.event.detail.get("message") or it.event.note
    return Said(icon="ban", tone="bad", words=(f"Not accepted: {why}" if why else "Not accepted.",))


def _admit(it: _Context) -> Said:
    where = place(
        str(it.event.detail.get("node", "a server")), it.event.detail.get("devices", ()), it.index, it.job.resources
    )
    return Said(icon="circle-check", tone="turn", words=(f"Your turn. Admitted to {where}.",))


def _launch(it: _Context) -> Said:
    number = it.event.detail.get("launch", 1)
    again = f"Start number {number} was permitted." if number != 1 else "The start was permitted."
    return Said(icon="rocket", tone="turn", words=(again,))


def _claim(it: _Context) -> Said:
    return Said(icon="gear", tone="turn", words=("The process of the notebook began.",))


def _ready(it: _Context) -> Said:
    ends = it.event.detail.get("ends")
    until: Words = (" Runs until ", moment(ends, now=it.now), ".") if ends else ()
    return Said(icon="circle-play", tone="running", words=("Notebook ready.", *until))


def _extend(it: _Context) -> Said:
    seconds, ends = it.event.detail.get("seconds"), it.event.detail.get("ends")
    by = f" by {words.duration(seconds)}" if seconds else ""
    until: Words = (", until ", moment(ends, now=it.now)) if ends else ()
    return Said(icon="clock-rotate-left", tone="running", words=(f"Extended{by}{it.by}", *until, "."))


def _warn(it: _Context) -> Said:
    ends = it.event.detail.get("ends")
    at: Words = (" at ", moment(ends, now=it.now)) if ends else (" soon",)
    return Said(icon="bell", tone="warn", words=("Told that its time ends", *at, "."))


def _restart(it: _Context) -> Said:
    lead = f"Restart asked for{it.by}." if it.event.by else "Restarted."
    return Said(icon="rotate-right", tone="running", words=(f"{lead} It keeps what it holds.",), note=it.event.note)


def _stop(it: _Context) -> Said:
    end, message = it.event.detail.get("end"), it.event.detail.get("message")
    if end is None and it.event.detail.get("taken"):
        back = "It goes back to the queue, to its old place, and starts anew."
        return Said(icon="triangle-exclamation", tone="warn", words=(it.event.note,), detail=(back,))
    if end is None:  # a launch that failed
        why = (it.event.note or "no reason was given").rstrip(".")
        tries = it.event.detail.get("failures")
        detail = (f"Try number {tries}.",) if tries else ()
        return Said(icon="triangle-exclamation", tone="bad", words=(f"The start failed: {why}.",), detail=detail)
    if end == "expired":
        return Said(icon="flag-checkered", tone="ended", words=("Time was up. The notebook was asked to stop.",))
    if end in ("completed", "failed") and not it.event.by:
        tone, icon = ("ended", "circle-check") if end == "completed" else ("bad", "circle-xmark")
        return Said(icon=icon, tone=tone, words=(message or "The notebook ended.",))
    lead = f"Stop asked for{it.by}." if it.event.by else "The notebook is being stopped."
    return Said(icon="stop", tone="ended", words=(lead,), detail=(message,) if message else (), note=it.event.note)


def _requeue(it: _Context) -> Said:
    detail = (it.event.note,) if it.event.note else ()
    return Said(icon="rotate-left", tone="warn", words=("Back in the queue, at its old place.",), detail=detail)


def _gone(it: _Context) -> Said:
    return Said(icon="box-open", tone="ended", words=("Its last process is gone. What it held is free again.",))


_TELL: Mapping[Event, Callable[[_Context], Said]] = {
    Event.SUBMIT: _submit,
    Event.REPLACE: _replace,
    Event.HOLD: _hold,
    Event.RELEASE: _release,
    Event.CANCEL: _cancel,
    Event.REJECT: _reject,
    Event.ADMIT: _admit,
    Event.LAUNCH: _launch,
    Event.CLAIM: _claim,
    Event.READY: _ready,
    Event.EXTEND: _extend,
    Event.WARN: _warn,
    Event.RESTART: _restart,
    Event.STOP: _stop,
    Event.REQUEUE: _requeue,
    Event.GONE: _gone,
}

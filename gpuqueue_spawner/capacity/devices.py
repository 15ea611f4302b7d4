"""GPUs as a driver reports them, and the words for why one cannot be given out.

Knows records and words. Where reports come from: nvml.py, simulated.py; which process is whose: processes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from ..model import Device
from .base import Process

SHOWN = 2  # users of one GPU named in its words


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as its driver reports it."""

    device: Device
    pids: tuple[int, ...] = ()  #: processes that compute on it
    drawing: tuple[int, ...] = ()  #: processes that draw on it; some do both
    broken: str = ""  #: why nobody can use it now, in words for people
    unfit: str = ""  #: why the queue never gives it out, in words for people


def judge(
    gpu: Gpu,
    *,
    owners: Mapping[int, str],
    given: Mapping[str, Collection[str]],
    displays: Collection[str],
    describe: Callable[[int], Process | None],
) -> Device:
    """Tell whether a GPU may be given out: set `foreign` where it may not.

    :param owners: job key by pid.
    :param given: the GPUs that each job was given.
    :param displays: programs that may draw on a GPU without using it up.
    :param describe: looks up a process by pid; None: it is not seen from here.
    """
    if gpu.unfit or gpu.broken:
        return replace(gpu.device, foreign=gpu.unfit or gpu.broken)
    strangers = []
    for pid in sorted({*gpu.pids, *gpu.drawing}):
        key, process = owners.get(pid), describe(pid)
        if key is not None and gpu.device.id not in given.get(key, ()):
            strangers.append(f"{_words(pid, process)} of a job that was not given it")
        elif key is None and not (pid not in gpu.pids and process is not None and process.command in displays):
            strangers.append(_words(pid, process))
    return replace(gpu.device, foreign=_sentence(strangers))


def _words(pid: int, process: Process | None) -> str:
    if process is None:
        return f"pid {pid} (not visible from here)"
    return f"pid {pid} ({process.command}, uid {process.uid})"


def _sentence(users: Collection[str]) -> str:
    if not users:
        return ""
    named = list(users)[:SHOWN]
    more = [f"{len(users) - SHOWN} more"] if len(users) > SHOWN else []
    parts = named + more
    verb = "uses it" if len(users) == 1 else "use it"
    return f"{', '.join(parts[:-1])} and {parts[-1]} {verb}" if len(parts) > 1 else f"{parts[0]} {verb}"

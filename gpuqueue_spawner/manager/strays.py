"""What runs and is not where the queue's books have it: shown, never ended, and what it uses is not given out.

Pure. Knows what a look saw and which jobs hold what. Who looks: watching.py.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..capacity import Mark, Observation, Pod, Trace
from ..model import Device, Job, Node, Resources, State
from ..model.kept import Kept

UNKNOWN_SERVER = "a running server that this queue does not know"
OTHERS = "something else in the cluster"
BROKEN = "does not work, says its node"


#: A node; which devices are taken by nobody knows whom, and held by jobs; what pods take that was not given.
Question = tuple[Node, frozenset[str], frozenset[str], tuple[Resources, ...]]
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Stray:
    """Processes or pods that carry the mark of a job which holds no GPUs: after a restored backup, say."""

    key: str
    traces: tuple[Trace, ...]
    devices: tuple[str, ...] = field(default=())

    @property
    def gpus(self) -> int:
        """How many GPUs it has."""
        pods = [each for each in self.traces if isinstance(each, Pod)]
        return len(self.devices) + sum(pod.resources.gpu_count for pod in pods)


def strays(observation: Observation, holding: Iterable[Job]) -> tuple[Stray, ...]:
    """What was seen of jobs that hold nothing."""
    # What is only admitted has no process: one that carries its mark is none that this queue permitted.
    known = {job.key for job in holding if job.state is not State.ADMITTED}
    return tuple(
        Stray(key=key, traces=traces, devices=observation.marked.get(key, Mark(launch=0)).devices)
        for key, traces in sorted(observation.jobs.items())
        if key not in known and not all(trace.lost for trace in traces)
    )


def room(
    observation: Observation, holding: Collection[Job], *, kept: Kept[Question, Node] | None = None
) -> tuple[Node, ...]:
    """The nodes, with what others use taken out of what may be given.

    Others are those outside the queue, strays, and what pods of a job take that it was not given: those that run
    elsewhere than where it has its place, what an earlier launch left, and what a cluster added to a pod beyond what
    the job asked for. Where only the number of GPUs is known that they use, or that do not work, those count that no
    job holds, the highest first.

    :param kept: of earlier looks: a node on which nothing changed is the same record again.
    """
    held: dict[str, set[str]] = {}  # by node: in a cluster the devices of each node have the same names
    for job in holding:
        if job.placement:
            held.setdefault(job.placement.node, set()).update(job.placement.devices)
    taken = _taken(observation, holding)
    loose: dict[str, list[Resources]] = {}
    for node, more in _not_given(observation.jobs, holding):
        loose.setdefault(node, []).append(more)
    there = {name: frozenset(devices) for name, devices in held.items()}
    questions = (
        (each.name, (each, taken, there.get(each.name, NOTHING), tuple(loose.get(each.name, ()))))
        for each in observation.nodes
    )
    return (kept or Kept()).answers(questions, _without)


def _taken(observation: Observation, holding: Collection[Job]) -> frozenset[str]:
    """Devices that processes name as theirs, and that no job of theirs holds."""
    taken = {device for stray in strays(observation, holding) for device in stray.devices}
    for job in holding:
        if job.state is not State.ADMITTED:  # of a restored backup: launched anew since, and elsewhere
            given = job.placement.devices if job.placement else ()
            taken |= {*observation.marked.get(job.key, Mark(launch=0)).devices} - {*given}
    return frozenset(taken)


def _not_given(jobs: Mapping[str, tuple[Trace, ...]], holding: Iterable[Job]) -> Iterable[tuple[str, Resources]]:
    """What pods take of their nodes that the queue has not given to their jobs."""
    given = {job.key: job for job in holding if job.placement and job.state is not State.ADMITTED}
    for key, traces in jobs.items():
        job, pods = given.get(key), [trace for trace in traces if isinstance(trace, Pod) and trace.node]
        own = [pod for pod in pods if job is not None and _is_at_home(pod, job)]
        yield from ((pod.node, pod.resources) for pod in pods if pod not in own)
        if job is None or not own or (len(own) == 1 and own[0].resources.fits_in(job.resources)):
            continue  # nearly always: no sum is worth its time
        yield own[0].node, sum((pod.resources for pod in own), Resources()).beyond(job.resources)


def _is_at_home(pod: Pod, job: Job) -> bool:
    """Whether it runs where its job has its place, and is not left from an earlier launch.

    A later launch than the queue knows of is that of a job out of a restored backup.
    """
    return job.placement is not None and pod.node == job.placement.node and pod.launch >= job.launch


def _without(question: Question) -> Node:
    node, taken, held, loose = question
    used = sum(loose, node.used)
    broken, left = Counter(node.broken.gpus), Counter(used.gpus)

    def judge(device: Device) -> Device:
        if device.id in taken:
            return _of_others(device, UNKNOWN_SERVER)
        for count, words in ((broken, BROKEN), (left, OTHERS)):
            if device.id not in held and count[device.resource] > 0:
                count[device.resource] -= 1
                return _of_others(device, words)
        return device

    judged = [judge(device) for device in reversed(node.devices)]
    return replace(node, used=used, devices=tuple(reversed(judged)))


@functools.lru_cache(maxsize=4096)  # in a cluster the devices of each node have the same names
def _of_others(device: Device, words: str) -> Device:
    return replace(device, foreign=device.foreign or words)

"""What became of a pod that its job did not want to lose: the cluster took it, somebody deleted it, or it ended itself.

Pure. Knows what Kubernetes writes into a pod on its way out, as its JSON has it. What that does to a job:
manager/decisions.py. Who reads it: capacity/kubernetes/ and spawner/kubernetes.py.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"Succeeded", "Failed"})  #: phases of a pod whose containers have ended for good
DISRUPTED = "DisruptionTarget"  #: the condition by which Kubernetes says that it does not want the pod itself to end
WORDS_MAX = 300

#: What its reasons mean.
WHY = {
    "PreemptionByScheduler": "something of a higher priority needed its room",
    "DeletionByTaintManager": "that node was closed to it, or did not answer",
    "EvictionByEvictionAPI": "somebody cleared that node",
    "DeletionByPodGC": "that node is not part of the cluster any more",
    "TerminationByKubelet": "that node was short of something, or was shut down",
}
#: A kubelet's own reasons to end a pod, where the condition is missing.
BY_KUBELET = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"})
#: Its reasons not to take one, or not to take it back after its own restart; OutOf and what is another.
REFUSED = frozenset({"NodeAffinity", "UnexpectedAdmissionError"})
OUT_OF = "OutOf"


class Cause(enum.Enum):
    """Whose doing it was."""

    TAKEN = "taken"  # the cluster's, or that of somebody who cleared a node: its owner wants it to go on
    REFUSED = "refused"  # its node's, which did not take it, or not back after a restart of its own
    DELETED = "deleted"  # somebody's who deleted this very pod
    ENDED = "ended"  # its own

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """What became of one pod."""

    cause: Cause
    words: str = ""  #: for people: a sentence, or nothing to add to a status
    status: int | None = None  #: of the notebook that ended itself; None: not known


def pod_fate(pod: Mapping[str, Any], *, gone: bool = False, container: str = "") -> Fate | None:
    """Read what becomes of a pod; None: it lives.

    :param gone: it is not there any more, and this is the last that was said of it.
    :param container: whose end is the pod's, also where the cluster would start it anew.
    """
    meta, status = pod.get("metadata") or {}, pod.get("status") or {}
    over = status.get("phase") in ENDED
    deleted = gone or "deletionTimestamp" in meta
    ended = _terminated(status, container) if container else None
    if not (over or deleted or ended):
        return None
    node = (pod.get("spec") or {}).get("nodeName") or "its node"
    for cause, why in (
        (Cause.TAKEN, _taken(status, over=over, deleted=deleted)),
        (Cause.REFUSED, _refused(status)),
    ):
        if why:
            return Fate(cause=cause, words=f"The cluster took the server away from {node}: {why}.")
    if deleted:
        return Fate(cause=Cause.DELETED)
    ended = ended or _terminated(status)
    code = 0 if status.get("phase") == "Succeeded" else ended.get("exitCode")
    return Fate(cause=Cause.ENDED, words=_ended_words(ended, status), status=code)


def foremost(fates: tuple[Fate | None, ...]) -> Fate | None:
    """Which of several accounts of one pod counts: whoever saw more knows better."""
    known = [fate for fate in fates if fate is not None]
    order = (Cause.TAKEN, Cause.REFUSED, Cause.ENDED, Cause.DELETED)
    return min(known, key=lambda fate: order.index(fate.cause), default=None)


def _taken(status: Mapping[str, Any], *, over: bool, deleted: bool) -> str:
    """Why the cluster takes it away; empty: it does not.

    The condition alone is not enough: an eviction that was refused after all leaves it for a while.
    """
    for each in status.get("conditions") or ():
        if each.get("type") == DISRUPTED and each.get("status") == "True" and (over or deleted):
            reason = each.get("reason") or ""
            said = status.get("message") if reason == "TerminationByKubelet" else ""
            return _clause(said) or WHY.get(reason) or _clause(each.get("message")) or reason
    reason = status.get("reason") or ""
    by_kubelet = status.get("phase") == "Failed" and reason in BY_KUBELET
    return _clause(status.get("message")) or reason if by_kubelet else ""


def _refused(status: Mapping[str, Any]) -> str:
    reason = status.get("reason") or ""
    if status.get("phase") == "Failed" and (reason in REFUSED or reason.startswith(OUT_OF)):
        return _clause(status.get("message")) or reason
    return ""


def _clause(words: str | None) -> str:
    """Foreign words, to stand before the end of a sentence of ours."""
    return " ".join((words or "").split())[:WORDS_MAX].rstrip(" .")


def _terminated(status: Mapping[str, Any], container: str = "") -> Mapping[str, Any]:
    """How a container ended: the one of this name, else the first that ended badly."""
    found: list[Mapping[str, Any]] = []
    for each in status.get("containerStatuses") or ():
        terminated = (each.get("state") or {}).get("terminated")
        if terminated and container in ("", each.get("name")):
            found.append(terminated)
    return next((each for each in found if each.get("exitCode")), found[0] if found else {})


def _ended_words(ended: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if ended.get("reason") == "OOMKilled":
        return "The notebook used more memory than it had asked for, and was ended."
    if status.get("reason"):  # the pod's own: a time limit that the site has set, say
        said = _clause(status.get("message"))
        return f"{status['reason']}: {said}." if said else f"{status['reason']}."
    return ""

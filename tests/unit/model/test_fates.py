"""What Kubernetes writes into a pod on its way out, and whose doing that was."""

from __future__ import annotations

from typing import Any

import pytest

from gpuqueue_spawner.model import Cause, Fate, foremost, pod_fate

LEAD = "The cluster took the server away from dgx1: "


def pod(phase: str = "Running", *, deleted: bool = False, **status: Any) -> dict[str, Any]:
    meta = {"name": "p"} | ({"deletionTimestamp": "2026-11-28T12:00:00Z"} if deleted else {})
    return {"metadata": meta, "spec": {"nodeName": "dgx1"}, "status": {"phase": phase, **status}}


def disrupted(reason: str, message: str = "", status: str = "True") -> list[dict[str, str]]:
    return [{"type": "DisruptionTarget", "status": status, "reason": reason, "message": message}]


def ended(code: int, reason: str = "Error", name: str = "notebook") -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"exitCode": code, "reason": reason}}}


def test_what_lives_has_no_fate() -> None:
    """Nor has one whose eviction was refused after all: the condition is there, the deletion is not."""
    assert pod_fate(pod()) is None
    assert pod_fate(pod("Pending")) is None
    assert pod_fate({}) is None
    assert pod_fate(pod(conditions=disrupted("EvictionByEvictionAPI"))) is None


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("PreemptionByScheduler", "something of a higher priority needed its room"),
        ("DeletionByTaintManager", "that node was closed to it, or did not answer"),
        ("EvictionByEvictionAPI", "somebody cleared that node"),
        ("DeletionByPodGC", "that node is not part of the cluster any more"),
        ("TerminationByKubelet", "that node was short of something, or was shut down"),
    ],
)
def test_what_the_cluster_disrupts_it_took(reason: str, why: str) -> None:
    """Whatever its containers made of the request to end: a notebook ends well when it is asked to."""
    it = pod(deleted=True, conditions=disrupted(reason), containerStatuses=[ended(0, "Completed")])

    assert pod_fate(it) == Fate(cause=Cause.TAKEN, words=f"{LEAD}{why}.")


def test_a_kubelet_s_own_words_are_told() -> None:
    """It evicts without a deletion: the pod stays, as failed."""
    said = {"reason": "Evicted", "message": "The node was low on resource: memory. "}
    words = f"{LEAD}The node was low on resource: memory."

    for conditions in (disrupted("TerminationByKubelet"), []):
        assert pod_fate(pod("Failed", conditions=conditions, **said)) == Fate(cause=Cause.TAKEN, words=words)


def test_a_reason_that_is_not_known_here_is_told_as_it_is() -> None:
    assert pod_fate(pod(deleted=True, conditions=disrupted("New", "for a new reason."))) == Fate(
        cause=Cause.TAKEN, words=f"{LEAD}for a new reason."
    )


def test_a_condition_that_was_taken_back_says_nothing() -> None:
    assert pod_fate(pod(deleted=True, conditions=disrupted("PreemptionByScheduler", status="False"))) == Fate(
        cause=Cause.DELETED
    )


@pytest.mark.parametrize("reason", ["OutOfnvidia.com/gpu", "OutOfcpu", "UnexpectedAdmissionError", "NodeAffinity"])
def test_what_its_node_does_not_take_is_another_matter(reason: str) -> None:
    """A launch that meets it has failed; what ran before a restart of its node was taken away."""
    fate = pod_fate(pod("Failed", reason=reason, message="Pod was rejected"))

    assert fate == Fate(cause=Cause.REFUSED, words=f"{LEAD}Pod was rejected.")


def test_what_was_deleted_without_more_somebody_deleted() -> None:
    """With kubectl, say, or by the Hub; also where it was gone at once."""
    assert pod_fate(pod(deleted=True, containerStatuses=[ended(0)])) == Fate(cause=Cause.DELETED)
    assert pod_fate(pod(), gone=True) == Fate(cause=Cause.DELETED)


@pytest.mark.parametrize(
    ("it", "fate"),
    [
        (pod("Succeeded", containerStatuses=[ended(0)]), Fate(cause=Cause.ENDED, status=0)),
        (pod("Failed", containerStatuses=[ended(3)]), Fate(cause=Cause.ENDED, status=3)),
        (pod("Failed", containerStatuses=[ended(0, name="sidecar"), ended(3)]), Fate(cause=Cause.ENDED, status=3)),
        (
            pod("Failed", containerStatuses=[ended(137, "OOMKilled")]),
            Fate(
                cause=Cause.ENDED,
                status=137,
                words="The notebook used more memory than it had asked for, and was ended.",
            ),
        ),
        (
            pod("Failed", reason="DeadlineExceeded", message="Pod was active too long"),
            Fate(cause=Cause.ENDED, words="DeadlineExceeded: Pod was active too long."),
        ),
    ],
    ids=["well", "badly", "beside a sidecar", "out of memory", "out of time"],
)
def test_what_ended_by_itself_tells_how(it: dict[str, Any], fate: Fate) -> None:
    assert pod_fate(it) == fate


def test_a_container_that_the_cluster_would_start_anew_has_ended_for_who_asks_for_it() -> None:
    """The Hub does not wait for that; not a sidecar's end."""
    it = pod(containerStatuses=[ended(1, name="sidecar"), ended(2)])

    assert pod_fate(it) is None
    assert pod_fate(it, container="notebook") == Fate(cause=Cause.ENDED, status=2)
    assert pod_fate(pod(containerStatuses=[ended(1, name="sidecar")]), container="notebook") is None


def test_of_several_accounts_the_one_that_saw_more_counts() -> None:
    taken, ended, deleted = (Fate(cause=cause) for cause in (Cause.TAKEN, Cause.ENDED, Cause.DELETED))

    assert foremost((deleted, taken)) == taken
    assert foremost((None, deleted, ended)) == ended
    assert foremost((None, None)) is None

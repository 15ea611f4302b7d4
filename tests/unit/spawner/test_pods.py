"""What is added to a notebook's pod, and what its state means."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gpuqueue_spawner.model.pods import INSTANCE, JOB, KEY, LAUNCH, SERVER, USER
from gpuqueue_spawner.spawner.pods import launch_name, marks, notes, pinned, trouble, unplaced, unready

KEY_OF_A_JOB = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize("base", ["jupyter-ada", "j" * 200, "jupyter-a.b-", "jupyter-" + "ä-" * 40])
def test_each_launch_has_a_name_of_its_own_that_kubernetes_takes(base: str) -> None:
    """Of at most 63 characters, whatever the user is called."""
    base = base.replace("ä", "a")
    names = {launch_name(base, KEY_OF_A_JOB, launch) for launch in (1, 2, 1000)}

    assert len(names) == 3
    assert all(len(name) <= 63 and re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) for name in names)


def test_the_labels_tell_installation_job_and_launch() -> None:
    """By which the queue tells its pods from others."""
    labels = marks(f"0123456789abcdef/{KEY_OF_A_JOB}/3", 17)

    assert labels == {INSTANCE: "0123456789abcdef", KEY: KEY_OF_A_JOB, LAUNCH: "3", JOB: "17"}


def test_the_annotations_tell_whose_it_is_as_people_write_it() -> None:
    """A label holds 63 characters of some kinds; an annotation what there is."""
    labels = marks(f"0123456789abcdef/{KEY_OF_A_JOB}/3", 17)
    user = "Zoë@example.org, " * 9

    assert notes(labels, user=user, server="a b") == {**labels, USER: user, SERVER: "a b"}


def test_the_node_is_added_to_whatever_affinity_the_site_has() -> None:
    """Each term is one of several ways to match, so each gets it."""
    site = [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["a"]}]}, {"matchFields": [{"key": "x"}]}]
    here = {"key": "metadata.name", "operator": "In", "values": ["dgx1"]}

    assert pinned([], "dgx1") == [{"matchFields": [here]}]
    assert pinned(site, "dgx1") == [{**site[0], "matchFields": [here]}, {"matchFields": [{"key": "x"}, here]}]
    assert site[1] == {"matchFields": [{"key": "x"}]}, "the site's own is not changed"


def status(**more: Any) -> dict[str, Any]:
    return {"status": more}


def container(**state: Any) -> dict[str, Any]:
    return {"name": "notebook", "state": state}


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (status(phase="Pending"), ""),
        (status(phase="Running", containerStatuses=[container(running={})]), ""),
        (status(phase="Pending", containerStatuses=[container(waiting={"reason": "ContainerCreating"})]), ""),
        (status(phase="Pending", containerStatuses=[container(waiting={"reason": "ErrImagePull"})]), ""),
        (
            status(
                phase="Pending",
                containerStatuses=[container(waiting={"reason": "ImagePullBackOff", "message": 'Back-off "x:1"'})],
            ),
            'ImagePullBackOff: Back-off "x:1"',
        ),
        (
            status(phase="Failed", reason="OutOfnvidia.com/gpu", message="Node didn't have enough resource"),
            "OutOfnvidia.com/gpu: Node didn't have enough resource",
        ),
        (
            status(
                phase="Failed",
                containerStatuses=[container(terminated={"reason": "OOMKilled", "exitCode": 137})],
            ),
            "Failed: OOMKilled, exit status 137",
        ),
        (
            status(phase="Pending", initContainerStatuses=[container(waiting={"reason": "InvalidImageName"})]),
            "InvalidImageName",
        ),
    ],
)
def test_a_pod_that_will_not_run_says_so_in_the_cluster_s_words(pod: dict[str, Any], words: str) -> None:
    """The first failed pull is tried again by the kubelet, and is none yet."""
    assert trouble(pod) == words


def test_what_the_scheduler_says_is_told() -> None:
    """While it has found no place."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}

    assert unplaced(status(conditions=[condition])) == "Unschedulable: 0/2 nodes"
    assert unplaced(status(conditions=[{**condition, "status": "True"}])) == ""
    assert unplaced({}) == ""


def test_a_pod_that_is_faster_than_its_secret_is_not_given_up() -> None:
    """The kubelet looks again; a secret of the site's that is not there is another matter."""

    def waits(secret: str) -> dict[str, Any]:
        waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{secret}" not found'}
        return {"metadata": {"name": "p"}, **status(phase="Pending", containerStatuses=[container(waiting=waiting)])}

    assert trouble(waits("p-token")) == ""
    assert trouble(waits("other")) == 'CreateContainerConfigError: secret "other" not found'


NFS = {"name": "share", "nfs": {"server": "nfs", "path": "/export"}}


def bound(ready: str, *volumes: dict[str, Any]) -> dict[str, Any]:
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "PodReadyToStartContainers", "status": ready}]
    return {"spec": {"nodeName": "dgx1", "volumes": [*volumes]}, **status(phase="Pending", conditions=conditions)}


def test_a_share_that_cannot_be_mounted_is_told_in_the_node_s_words() -> None:
    """Its last, not what it said on the way there."""
    said = [
        {"type": "Normal", "reason": "Scheduled", "message": "Successfully assigned"},
        {"type": "Warning", "reason": "FailedMount", "message": "mount failed: status 32\nConnection refused"},
    ]

    assert unready(bound("False", NFS), said) == (
        "dgx1 could not make ready what the notebook needs: FailedMount: mount failed: status 32 Connection refused"
    )


def test_a_share_that_hangs_is_named() -> None:
    """The node says nothing for two minutes."""
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}

    assert "Where it mounts nfs:/export, the claim data, that may not answer" in unready(bound("False", NFS, claim))


@pytest.mark.parametrize("pod", [bound("True", NFS), status(phase="Pending"), status(conditions=[])])
def test_a_pod_that_is_ready_or_not_yet_bound_lacks_nothing(pod: dict[str, Any]) -> None:
    assert unready(pod) == ""

"""What became of pods is remembered for whoever looks after they are gone, and not for ever."""

from __future__ import annotations

from gpuqueue_spawner.capacity.kubernetes.cluster import SeenPod, seen_pod
from gpuqueue_spawner.capacity.kubernetes.fates import Fates
from gpuqueue_spawner.model import Cause, Fate, Resources

from .test_cluster import OURS, pod


def seen(cause: Cause | None, *, key: str = "k1", launch: int = 1, instance: str = OURS) -> SeenPod:
    return SeenPod(
        name="p",
        namespace="hub",
        node="dgx1",
        ended=False,
        deleted=True,
        resources=Resources(),
        instance=instance,
        key=key,
        launch=launch,
        fate=Fate(cause=cause) if cause else None,
    )


def test_the_first_that_is_seen_of_an_end_stays() -> None:
    """What comes later is its consequence: the Hub deletes what has ended."""
    fates = Fates(OURS)

    for cause in (None, Cause.ENDED, Cause.DELETED):
        fates.note(seen(cause))

    assert fates.known() == {("k1", 1): Fate(cause=Cause.ENDED)}


def test_each_launch_has_its_own_and_other_installations_none() -> None:
    fates = Fates(OURS)

    fates.note(seen(Cause.TAKEN))
    fates.note(seen(Cause.DELETED, launch=2))
    fates.note(seen(Cause.TAKEN, key="k2", instance="f" * 16))

    assert {key: fate.cause for key, fate in fates.known().items()} == {
        ("k1", 1): Cause.TAKEN,
        ("k1", 2): Cause.DELETED,
    }


def test_the_oldest_are_forgotten() -> None:
    fates = Fates(OURS, most=2)

    for key in ("k1", "k2", "k3"):
        fates.note(seen(Cause.TAKEN, key=key))

    assert [key for key, _ in fates.known()] == ["k2", "k3"]


def test_only_a_job_s_pod_has_one() -> None:
    """Thousands of others come and go."""
    assert seen_pod(pod("done", phase="Succeeded")).fate is None
    assert seen_pod(pod("mine", phase="Succeeded", key="k1")).fate == Fate(cause=Cause.ENDED, status=0)
    assert seen_pod(pod("mine", key="k1"), gone=True).fate == Fate(cause=Cause.DELETED)

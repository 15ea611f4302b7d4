"""What would happen to one more job."""

from __future__ import annotations

from gpuqueue_spawner.model import ReasonCode, Resources
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.scheduling import Choice, Limits, Trial, trial, trials

from .builders import NOW, job, node, running, snapshot


def gpus(count: int) -> Resources:
    return Resources(cpus=1, gpus={NVIDIA_GPU: count})


def one_more(state, count=1, user="anna"):
    return trial(state, user=user, resources=gpus(count), lease=60.0, now=NOW)


def test_free_now():
    """It would be admitted at once."""
    assert one_more(snapshot([node("dgx1", gpus=1)], [])) == Trial(start=NOW, reason=None)


def test_behind_others():
    """It stands at the end of the line, also if it would fit."""
    state = snapshot([node("dgx1", gpus=2)], [running(1, on="dgx1", indexes=[0]), job(2, gpus=2), job(3, gpus=1)])

    result = one_more(state)

    assert (result.start, result.reason.lead) == (NOW + 7200, "Behind 2 others.")


def test_not_free_now_while_an_ended_lease_still_holds():
    """A lease that is over gives its GPUs back any moment: soon, but later than now."""
    result = one_more(snapshot([node("dgx1", gpus=1)], [running(1, on="dgx1", indexes=[0], hours=-1)]))

    assert NOW < result.start < NOW + 1
    assert result.reason.code is ReasonCode.RESOURCES


def test_never():
    """It is refused with these words."""
    result = one_more(snapshot([node("dgx1", gpus=8)], []), count=9)

    assert (result.start, result.reason.code) == (None, ReasonCode.NEVER_FITS)


def test_over_the_own_limit():
    """It would wait for a job of its own user."""
    state = snapshot([node("dgx1", gpus=8)], [running(1, on="dgx1", indexes=[0], user="anna")], limits=Limits(gpus=1))

    result = one_more(state)

    assert (result.start, result.reason.code) == (NOW + 3600, ReasonCode.OWN_LIMIT)
    assert one_more(state, user="ben").reason is None


def test_unknown_capacity():
    """No guess."""
    result = one_more(snapshot([node("dgx1", gpus=8)], [], unknown="The servers do not answer."))

    assert (result.start, result.reason.lead) == (None, "The servers do not answer.")


def test_several_choices_do_not_disturb_each_other():
    """Each is tried alone, in the order given."""
    state = snapshot([node("dgx1", gpus=2)], [running(1, on="dgx1", indexes=[0])])

    results = trials(
        state, user="anna", choices=[Choice(resources=gpus(n), lease=60.0) for n in (2, 1, 1, 3, 0)], now=NOW
    )

    assert [result.start for result in results] == [NOW + 3600, NOW, NOW, None, NOW]
    assert results[0] == one_more(state, count=2)

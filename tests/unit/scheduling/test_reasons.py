"""The words people read while they wait."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.model import Job, Reason, State
from gpuqueue_spawner.scheduling import Limits

from .builders import GB, NOW, Resources, device, job, node, plan_of, running

MIG = "nvidia.com/mig-1g.10gb"


def reason_of(nodes, waiting: Job, *others: Job, **fields) -> tuple[str, str]:
    reason: Reason = plan_of(nodes, [waiting, *others], **fields).waits[waiting.id].reason
    return reason.lead, reason.proof


def test_on_hold_quotes_the_note():
    """Who, and why."""
    held = job(1, state=State.HELD, message="after the driver update")

    assert reason_of([], held) == ("The GPU team put this request on hold.", "“after the driver update”")


def test_on_hold_without_a_note():
    """No empty quotes."""
    assert reason_of([], job(1, state=State.HELD)) == ("The GPU team put this request on hold.", "")


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (job(1, gpus=9), "9 GPUs, 1 to 8 is possible."),
        (job(1, kinds={MIG: 2}), "2 GPUs (mig-1g.10gb), 1 is possible."),
        (job(1, kinds={"amd.com/gpu": 1}), "1 GPU (amd.com/gpu), none is possible."),
        (job(1, cpus=200.5), "200.5 CPUs, up to 128 is possible."),
        (job(1, memory=2048), "2 TB of memory, up to 512 GB is possible."),
        (job(1, gpus=8, cpus=100), "no server has 8 GPUs, 100 CPUs and 1 GB of memory together."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_never_fits_names_what_is_possible(wish, words):
    """The first amount that is too large, and the most there is."""
    nodes = [node("dgx1", gpus=8), node("cpu1", cpus=128), node("mig1", devices=(device("mig1", 0, resource=MIG),))]

    assert reason_of(nodes, wish) == (f"Fits nowhere as it is: {words}", "")


def test_never_fits_does_not_offer_what_would_be_refused():
    """A rounded figure is rounded down: asking for it is possible."""
    odd = node("a", allocatable=Resources(cpus=8, memory=63 * GB + 99))

    assert reason_of([odd], job(1, memory=64))[0] == (
        "Fits nowhere as it is: 64 GB of memory, up to 63 GB is possible."
    )


def test_never_fits_without_servers():
    """A site can have none yet."""
    assert reason_of([], job(1))[0] == "Fits nowhere as it is: there is no server."


def test_never_allowed_names_the_limit():
    """More GPUs than its user may hold is for ever, too."""
    assert reason_of([node("dgx1", gpus=8)], job(1, gpus=5), limits=Limits(gpus=4)) == (
        "Fits nowhere as it is: 5 GPUs, 1 to 4 is possible.",
        "Your limit “GPUs at once” is 4.",
    )


def test_over_the_limit_of_gpus():
    """What is held, what is allowed, what is asked for."""
    mine = running(1, on="dgx1", indexes=[0, 1, 2], user="anna")

    assert reason_of([node("dgx1", gpus=8)], job(2, gpus=2, user="anna"), mine, limits=Limits(gpus=4)) == (
        "Over your limit “GPUs at once”: 3 of 4.",
        "This request asks for 2 more.",
    )


def test_over_the_limit_of_jobs():
    """Counted in jobs."""
    mine = running(1, on="dgx1", user="anna")

    assert reason_of([node("dgx1", gpus=8)], job(2, user="anna"), mine, limits=Limits(running_jobs=1)) == (
        "Over your limit “jobs at once”: 1 of 1.",
        "",
    )


def test_capacity_unknown_says_why():
    """In the words of whoever looked."""
    assert reason_of([], job(1), unknown="The servers do not answer.") == ("The servers do not answer.", "")


def test_behind_others_counts_those_that_keep_it_waiting():
    """Not the ones that are on hold."""
    jobs = [job(1, gpus=2, state=State.HELD), job(2, gpus=2), job(3, gpus=1), job(9, gpus=1)]
    full = running(10, on="dgx1", indexes=[0])

    result = plan_of([node("dgx1", gpus=2)], [*jobs, full])

    assert result.waits[3].reason.lead == "Behind 1 other."
    assert (result.waits[9].place, result.waits[9].reason.lead) == (4, "Behind 2 others.")


def test_waits_for_gpus():
    """The sentence, and what shows it."""
    nodes = [node("dgx1", gpus=4), node("dgx2", gpus=4)]
    others = [running(1, on="dgx1", indexes=[0, 1]), running(2, on="dgx2", indexes=[0, 1, 2])]

    assert reason_of(nodes, job(3, gpus=4), *others) == (
        "Waits for 4 free GPUs on one server.",
        "The most free on any server is 2.",
    )


def test_waits_for_one_gpu():
    """One is one, and zero is none."""
    assert reason_of([node("dgx1", gpus=1)], job(2, gpus=1), running(1, on="dgx1", indexes=[0])) == (
        "Waits for 1 free GPU.",
        "None is free on any server.",
    )


def test_waits_for_cpus():
    """GPUs are there, cores are not."""
    assert reason_of([node("dgx1", gpus=8, cpus=64)], job(2, gpus=1, cpus=16), running(1, on="dgx1", cpus=56)) == (
        "Waits for 16 free CPUs on one server.",
        "The most free on any server is 8.",
    )


def test_waits_for_memory():
    """What is free is rounded down, so that it never looks like enough."""
    assert reason_of([node("dgx1", memory=64)], job(2, memory=33), running(1, on="dgx1", memory=32)) == (
        "Waits for 33 GB of free memory on one server.",
        "The most free on any server is 32 GB.",
    )


def test_waits_for_all_on_the_same_server():
    """Every amount is free somewhere."""
    nodes = [node("a", gpus=2, cpus=8), node("b", gpus=2, cpus=8)]
    others = [running(1, on="a", indexes=[0, 1]), running(2, on="b", cpus=8)]

    assert reason_of(nodes, job(3, gpus=1, cpus=4), *others) == (
        "Waits for 1 GPU, 4 CPUs and 1 GB of memory on one server.",
        "Enough of each is free, but not on the same server.",
    )


def test_servers_that_are_too_small_do_not_count_as_free():
    """Eight free GPUs beside too little memory are no answer."""
    nodes = [node("large", gpus=4, memory=512), node("small", gpus=8, memory=16)]

    assert reason_of(nodes, job(2, gpus=2, memory=64), running(1, on="large", indexes=[0, 1, 2])) == (
        "Waits for 2 free GPUs on one server.",
        "The most free on any server it can use is 1.",
    )


def test_a_gpu_in_foreign_use_is_named():
    """When only that is in the way, people know whom to ask."""
    nodes = [node("dgx1", gpus=4, foreign=[3]), node("dgx2", gpus=4)]
    others = [running(1, on="dgx2", indexes=[0, 1])]

    assert reason_of(nodes, job(2, gpus=4), *others) == (
        "Waits for 4 free GPUs on one server.",
        "The most free on any server is 3. On dgx1, 1 GPU is used from outside the queue.",
    )


def test_a_gpu_in_foreign_use_is_not_blamed_for_what_jobs_hold():
    """Without it the job would wait, too."""
    nodes = [node("dgx1", gpus=4, foreign=[2, 3])]

    assert (
        reason_of(nodes, job(2, gpus=4), running(1, on="dgx1", indexes=[0]))[1] == "The most free on any server is 1."
    )


@pytest.mark.parametrize(
    ("nodes", "proof"),
    [
        ([node("dgx1", gpus=8, drained=True)], "The server is drained."),
        ([node("dgx1", gpus=8, drained=True), node("dgx2", gpus=8, drained=True)], "All servers are drained."),
        ([node("dgx1", gpus=8, drained=True), node("b", gpus=2)], "All servers that are large enough are drained."),
    ],
    ids=["the only one", "all", "all that are large enough"],
)
def test_drained_servers_are_named_as_the_cause(nodes, proof):
    """No lease end will help, and the sentence does not pretend that one would."""
    assert reason_of(nodes, job(1, gpus=4)) == ("Waits for 4 GPUs, 1 CPU and 1 GB of memory on one server.", proof)


def test_a_failed_start_says_what_went_wrong():
    """And that nobody has to press a button."""
    failed = job(1, not_before=NOW + 5, message="The notebook did not answer within 120 s.")

    assert reason_of([node("a")], failed) == (
        "Its last start failed. It is tried again in a moment.",
        "The notebook did not answer within 120 s.",
    )

"""Servers of one kind, and servers that keep jobs out."""

from __future__ import annotations

from gpuqueue_spawner.model import ANYWHERE, Constraints, ReasonCode, State, Taint, Toleration
from gpuqueue_spawner.scheduling import Choice, trials

from .builders import NOW, admitted, hours, job, node, plan_of, running, snapshot

DGX = Constraints(selector=(("pool", "dgx"),))
TOLERANT = Constraints(tolerations=(Toleration(key="dedicated"),))
TAINT = (Taint(key="dedicated", value="vision"),)


def why(nodes, waiting, *others):
    reason = plan_of(nodes, [waiting, *others]).waits[waiting.id].reason
    return reason.code, reason.lead, reason.proof


def test_a_job_goes_to_the_kind_of_server_that_it_asks_for():
    """Also where another one would be the better fit."""
    nodes = [node("a", gpus=1), node("b", gpus=8, labels={"pool": "dgx"})]

    assert admitted(plan_of(nodes, [job(1, gpus=1, constraints=DGX), job(2, gpus=1)])) == {1: "b", 2: "a"}


def test_a_job_without_gpus_goes_to_the_kind_of_server_that_it_asks_for():
    """They are sorted in another way."""
    nodes = [node("a"), node("b", gpus=8, labels={"pool": "dgx"})]

    assert admitted(plan_of(nodes, [job(1, constraints=DGX), job(2)])) == {1: "b", 2: "a"}


def test_a_job_waits_for_its_kind_of_server_though_another_is_free():
    """It is told so, and expected when that server is free."""
    nodes = [node("a", gpus=8), node("b", gpus=8, labels={"pool": "dgx"})]
    others = [running(1, on="b", indexes=range(8), hours=3), running(2, on="a", indexes=[0], hours=1)]

    waiting = job(3, gpus=1, constraints=DGX)

    assert hours(plan_of(nodes, [*others, waiting])) == {3: 3}
    assert why(nodes, waiting, *others)[1:] == ("Waits for 1 free GPU.", "None is free on any server it can use.")


def test_a_job_whose_kind_of_server_is_drained_is_told_so():
    """Others are not, and do not count."""
    nodes = [node("a", gpus=8), node("b", gpus=8, labels={"pool": "dgx"}, drained=True)]

    assert why(nodes, job(1, gpus=1, constraints=DGX))[::2] == (
        ReasonCode.RESOURCES,
        "All servers that it can use are drained.",
    )


def test_a_job_of_a_kind_that_there_is_not_is_passed_over():
    """It is told what it asks for."""
    nodes = [node("a", gpus=8)]

    assert admitted(plan_of(nodes, [job(1, gpus=1, constraints=DGX), job(2, gpus=1)])) == {2: "a"}
    assert why(nodes, job(1, gpus=1, constraints=DGX)) == (
        ReasonCode.NEVER_FITS,
        "Fits nowhere as it is: there is no server of the kind that it asks for (pool=dgx).",
        "",
    )


def test_what_is_possible_is_said_of_the_kind_of_server_that_is_asked_for():
    """A larger one of another kind is no help."""
    nodes = [node("a", gpus=8), node("b", gpus=4, labels={"pool": "dgx"})]

    assert why(nodes, job(1, gpus=5, constraints=DGX)) == (
        ReasonCode.NEVER_FITS,
        "Fits nowhere as it is: 5 GPUs, 1 to 4 is possible.",
        "Only servers of the kind that it asks for count.",
    )


def test_a_tainted_server_takes_those_who_tolerate_it_and_nobody_else():
    """Whoever is kept out holds nobody else up."""
    nodes = [node("a", gpus=8, taints=TAINT)]
    kept_out, welcome = job(1, gpus=1), job(2, gpus=1, constraints=TOLERANT)

    assert admitted(plan_of(nodes, [kept_out, welcome])) == {2: "a"}
    assert why(nodes, kept_out) == (
        ReasonCode.NEVER_FITS,
        "Fits nowhere as it is: every server that is large enough is closed to it.",
        "It does not tolerate the taint dedicated.",
    )


def test_a_taint_is_not_blamed_for_what_would_be_too_large_without_it():
    """Both servers together have what it asks for; neither does."""
    nodes = [node("a", gpus=4, taints=TAINT), node("b", gpus=2)]

    assert why(nodes, job(1, gpus=5))[1] == "Fits nowhere as it is: 5 GPUs, 1 to 4 is possible."


def test_a_job_that_runs_where_it_would_not_be_sent_now_is_counted():
    """A node may get a taint under it."""
    nodes = [node("a", gpus=2, taints=TAINT)]

    result = plan_of(nodes, [running(1, on="a", indexes=[0]), job(2, gpus=2, constraints=TOLERANT)])

    assert hours(result) == {2: 1}


def test_what_is_known_of_nothing_but_its_size_may_go_anywhere():
    """An estimate of amounts alone."""
    state = snapshot([node("a", gpus=1, taints=TAINT)], [job(1, gpus=1, state=State.HELD)])
    size = job(1, gpus=1).resources

    results = trials(
        state,
        user="anna",
        choices=[
            Choice(resources=size, lease=60.0),
            Choice(resources=size, constraints=ANYWHERE, lease=60.0),
            Choice(resources=size, constraints=Constraints(), lease=60.0),
        ],
        now=NOW,
    )

    assert [result.start for result in results] == [NOW, NOW, None]

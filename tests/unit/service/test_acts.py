"""What is said to be possible is what the decisions allow, for every state and every reader."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.decisions import Refused
from gpuqueue_spawner.model import End, InvalidTransition, Job, State, next_state
from gpuqueue_spawner.service.acts import ACTS, possible_acts
from gpuqueue_spawner.service.readers import Reader

from .builders import ADMIN, ANEH, READER, job

OPERATOR = Reader(name="olaf", scopes=frozenset({"custom:gpuqueue:operate"}))
OTHER = Reader(name="somebody")
DECISIONS = {
    "cancel": lambda job: decisions.cancel(job, now=1.0, by="x"),
    "stop": lambda job: decisions.stop(job, now=1.0, by="x"),
    "restart": lambda job: decisions.restart(job, by="x"),
    "extend": lambda job: decisions.extend(job, by="x", seconds=60.0, limit=3600.0),
    "hold": lambda job: decisions.hold(job, by="x", note=""),
    "release": lambda job: decisions.release(job, by="x", note=""),
}


def jobs() -> list[Job]:
    states = [job(1, state=state, ends=2.0) for state in State]
    ending = [replace(it, end=End.STOPPED) for it in states if it.state is State.STOPPING]
    return states + ending


@pytest.mark.parametrize(("name", "it"), list(itertools.product(ACTS, jobs())))
def test_an_act_is_possible_exactly_when_the_decision_does_something(name: str, it: Job) -> None:
    assert (name in possible_acts(it, ADMIN)) == _does_something(name, it)


@pytest.mark.parametrize("it", jobs(), ids=lambda it: str(it.state))
def test_nobody_is_told_of_an_act_that_is_not_theirs(it: Job) -> None:
    everything = set(possible_acts(it, ADMIN))

    assert set(possible_acts(it, OPERATOR)) == everything
    assert set(possible_acts(it, ANEH)) == everything - {"hold", "release"}
    assert possible_acts(it, READER) == possible_acts(it, OTHER) == ()


def _does_something(name: str, it: Job) -> bool:
    try:
        change = DECISIONS[name](it)
        if change is None:
            return False
        next_state(it.id, it.state, change.event)
    except (InvalidTransition, Refused):
        return False
    return True

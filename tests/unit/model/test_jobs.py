"""What a job says of itself follows from its state."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.model import Job, ReasonCode, Resources, State


@pytest.mark.parametrize(
    ("state", "waiting", "holding"),
    [
        (State.QUEUED, True, False),
        (State.HELD, True, False),
        (State.ADMITTED, False, True),
        (State.STARTING, False, True),
        (State.RUNNING, False, True),
        (State.RESTARTING, False, True),
        (State.STOPPING, False, True),
        (State.ENDED, False, False),
    ],
    ids=str,
)
def test_a_job_waits_holds_or_has_ended(state, waiting, holding):
    """It is open until it has ended, and then neither waits nor holds anything."""
    job = Job(
        user="anna",
        server="",
        request="r",
        resources=Resources(),
        lease=60.0,
        id=1,
        key="k",
        state=state,
        version=1,
        submitted=0.0,
        queued=0.0,
    )

    assert (job.waiting, job.holding, job.open) == (waiting, holding, state is not State.ENDED)


def test_reasons_have_a_fixed_precedence():
    """The order of the codes is what everybody is shown; a new code has to find its place in it."""
    assert [str(code) for code in ReasonCode] == [
        "hold",
        "never-fits",
        "own-limit",
        "capacity-unknown",
        "order",
        "resources",
        "not-before",
    ]

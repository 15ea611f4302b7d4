"""How a job's story adds up."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import End, Job, Resources, State
from gpuqueue_spawner.store.usage import usage_of

Q, H, A, S, R, X, E = (
    *(State.QUEUED, State.HELD, State.ADMITTED, State.STARTING, State.RUNNING, State.STOPPING, State.ENDED),
)


def job_ended(at: float, *, gpus: int = 2) -> Job:
    """A job that ended."""
    return Job(
        id=1,
        key="k",
        user="alice",
        server="",
        request="r",
        resources=Resources(gpus={"a": gpus}),
        lease=1.0,
        state=E,
        version=1,
        submitted=0.0,
        queued=0.0,
        ended=at,
        end=End.STOPPED,
    )


def test_each_state_lasts_until_the_next_line() -> None:
    """A job that was held back, failed to start once, waited again and ran."""
    story = [(Q, 0.0), (H, 1.0), (Q, 3.0), (A, 10.0), (S, 11.0), (X, 15.0), (Q, 20.0), (A, 50.0), (S, 51.0), (R, 60.0)]

    used = usage_of(job_ended(175.0), [*story, (X, 160.0), (E, 175.0)])

    assert (used.waited, used.run, used.gpu_seconds) == (10.0 + 30.0, 100.0, 2 * (10.0 + 125.0))


def test_day_is_that_of_the_end_in_utc() -> None:
    """Not of the reader's time zone, nor of the beginning."""
    assert usage_of(job_ended(86399.9), []).day == date(1970, 1, 1)
    assert usage_of(job_ended(86400.0), []).day == date(1970, 1, 2)


@given(st.lists(st.tuples(st.sampled_from(State), st.floats(-1e9, 1e9)), max_size=8))
def test_clock_that_was_set_back_never_subtracts(story: list[tuple[State, float]]) -> None:
    """Sums are never negative, whatever the clock did."""
    used = usage_of(job_ended(1e9), story)

    assert min(used.waited, used.run, used.gpu_seconds) >= 0

"""What admins read of notebooks that the cluster took away."""

from __future__ import annotations

from gpuqueue_spawner.manager.watching import Taken
from gpuqueue_spawner.service.views import taken

NOW = 1_000_000.0


def away(job: int, *, ago: float = 60.0) -> Taken:
    return Taken(at=NOW - ago, job=job, user="aneh", words="The cluster took the server away from dgx1: so.")


def test_nothing_taken_away_says_nothing() -> None:
    """Nor what was more than a day ago."""
    assert taken.notices([], now=NOW) == ()
    assert taken.notices([away(1, ago=90_000)], now=NOW) == ()


def test_the_latest_are_named_first_and_the_rest_counted() -> None:
    (notice,) = taken.notices([away(number) for number in range(1, 8)], now=NOW)

    assert notice.lead == "7 running servers taken away by the cluster in the last day."
    assert "Job 7 of aneh: The cluster took the server away from dgx1: so. Job 6" in notice.words
    assert notice.words.endswith("And 2 before.")
    assert "Job 2" not in notice.words

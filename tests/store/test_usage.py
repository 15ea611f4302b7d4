"""What remains of jobs that are forgotten: sums by day and user, the same on every database."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from gpuqueue_spawner.model import End, Event, Job
from gpuqueue_spawner.store import Store, UsageDay

from .builders import ended, everything, on, queued, rows

DAY_S = 86400.0
MIDNIGHT = datetime(2026, 10, 26, tzinfo=UTC).timestamp()  # the night in which Europe's summer time ended


def ran(store: Store, fence: int, user: str, *, at: float, gpus: int = 1) -> Job:
    """A job that waited 10 s, started for 5 s, ran 100 s and took 3 s to end."""
    job = queued(store, fence, user, gpus=gpus, at=at)
    steps: list[tuple[float, Event, dict[str, object]]] = [
        (10.0, Event.ADMIT, {"placement": on("n1", f"gpu-of-{user}")}),
        (11.0, Event.LAUNCH, {"launch": 1}),
        (15.0, Event.READY, {"started": at + 15.0}),
        (115.0, Event.STOP, {"end": End.STOPPED}),
        (118.0, Event.GONE, {}),
    ]
    for after, event, changes in steps:
        job = store.jobs.apply(job, event, fence=fence, at=at + after, **changes)
    return job


def test_forgotten_job_is_summed_up_by_its_story(store: Store, fence: int) -> None:
    """Waiting, running and what its GPUs were held for, on the day of its end in UTC."""
    ran(store, fence, "alice", at=MIDNIGHT - 117.0, gpus=4)  # ends one second past midnight

    assert store.jobs.expire(before=MIDNIGHT + DAY_S, fence=fence) == 1

    expected = UsageDay(day=date(2026, 10, 26), user="alice", jobs=1, waited=10.0, run=100.0, gpu_seconds=4 * 108.0)
    assert store.usage.days(since=date(2026, 1, 1)) == (expected,)


def test_sums_grow_by_day_and_user(store: Store, fence: int) -> None:
    """Later portions are added to what is there; users and days stay apart, byte for byte."""
    for user, day in [("alice", 0), ("alice", 0), ("Alice", 0), ("alice", 1)]:
        ran(store, fence, user, at=MIDNIGHT + day * DAY_S)
    assert store.jobs.expire(before=MIDNIGHT + DAY_S, fence=fence, limit=1) == 1
    assert store.jobs.expire(before=MIDNIGHT + DAY_S, fence=fence, limit=5) == 2
    ran(store, fence, "alice", at=MIDNIGHT)
    assert store.jobs.expire(before=MIDNIGHT + 3 * DAY_S, fence=fence) == 2

    found = {
        (one.day.day, one.user): (one.jobs, one.waited, one.run) for one in store.usage.days(since=date(2026, 1, 1))
    }

    assert found == {(26, "Alice"): (1, 10.0, 100.0), (26, "alice"): (3, 30.0, 300.0), (27, "alice"): (1, 10.0, 100.0)}
    assert [one.day.day for one in store.usage.days(since=date(2026, 10, 27))] == [27]


def test_what_ended_later_or_is_open_is_kept(store: Store, fence: int) -> None:
    """Retention takes only what ended before its limit; its requests and story go with it, nothing else does."""
    old, limit, new = (ended(store, fence, user, at=at) for user, at in [("a", 1.0), ("b", 2.0), ("c", 3.0)])
    waiting = queued(store, fence, "d", at=0.0)

    assert store.jobs.expire(before=2.0, fence=fence) == 1
    assert store.jobs.expire(before=2.0, fence=fence) == 0

    assert store.jobs.get(old.id) is None
    assert store.jobs.events(old.id) == ()
    for job in (limit, new, waiting):
        assert store.jobs.get(job.id) == job
        assert store.jobs.events(job.id)
    assert len(store.jobs.events(waiting.id)) == 1


def test_portion_that_is_interrupted_counts_nothing(
    store: Store, fence: int, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums and forgetting are one transaction: stopped in between, nothing happened, and the next call does it all."""
    ran(store, fence, "alice", at=0.0)
    before = everything(address)

    with monkeypatch.context() as patch:
        patch.setattr("gpuqueue_spawner.store.jobs.job_requests", None)  # fails after the sums were written
        with pytest.raises(AttributeError):
            store.jobs.expire(before=DAY_S, fence=fence)

    assert everything(address) == before
    assert store.jobs.expire(before=DAY_S, fence=fence) == 1
    assert [one.jobs for one in store.usage.days(since=date(1970, 1, 1))] == [1]


def test_requests_of_a_forgotten_job_are_forgotten(store: Store, fence: int, address: str) -> None:
    """Nothing grows for ever but the sums."""
    ran(store, fence, "alice", at=0.0)
    store.jobs.expire(before=DAY_S, fence=fence)

    left = {table: count for table, count in everything(address).items() if count}
    assert left.keys() == {"leader", "usage_days"}
    assert rows(address, "SELECT user_name FROM usage_days") == [("alice",)]

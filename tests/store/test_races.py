"""Many writers at the same moment, in threads and in processes: one of them wins, nothing is half done."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

from gpuqueue_spawner.model import Event
from gpuqueue_spawner.store import DeviceTaken, JobChanged, LeaseLost, Store

from .builders import held, lead, on, queued, request, rows

THREADS = 6

T = TypeVar("T")


def at_once(address: str, works: Sequence[Callable[[Store], T]]) -> list[T]:
    """Run each piece of work in a thread with a store of its own, all from the same moment on."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[Store], T]) -> T:
        with closing(Store(address)) as store:
            store.leader.read()  # connected before the start
            gate.wait()
            return work(store)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_of_many_candidates_one_leads(address: str, store: Store) -> None:
    """Compare and set on what was seen lets one through, with one new number."""
    for round_ in range(5):
        seen = store.leader.read()

        def take(other: Store, seen: object = seen) -> int | None:
            return other.leader.take("candidate", "host", seen=seen)  # type: ignore[arg-type]

        taken = at_once(address, [take] * THREADS)

        assert [fence for fence in taken if fence] == [round_ + 1]


def test_of_many_moves_from_one_version_one_happens(address: str, store: Store, fence: int) -> None:
    """Compare and set on the version lets one through; the others are told, and the story has one line more."""
    job = queued(store, fence)

    def hold(other: Store) -> str:
        try:
            other.jobs.apply(job, Event.HOLD, fence=fence, at=1.0)
        except JobChanged:
            return "changed"
        return "moved"

    assert Counter(at_once(address, [hold] * THREADS)) == {"moved": 1, "changed": THREADS - 1}
    assert [line.version for line in store.jobs.events(job.id)] == [1, 2]


def test_of_many_jobs_one_gets_the_device(address: str, store: Store, fence: int) -> None:
    """The database gives a device out once."""
    jobs = [queued(store, fence, f"user{n}") for n in range(THREADS)]

    def admit(job: object) -> Callable[[Store], str]:
        def work(other: Store) -> str:
            try:
                other.jobs.apply(job, Event.ADMIT, fence=fence, at=1.0, placement=on("n1", "gpu0"))  # type: ignore[arg-type]
            except DeviceTaken:
                return "taken"
            return "given"

        return work

    assert Counter(at_once(address, [admit(job) for job in jobs])) == {"given": 1, "taken": THREADS - 1}
    assert len(held(address)) == 1
    assert sum(job.holding for job in store.jobs.open()) == 1


def test_many_posts_of_one_server_make_one_job(address: str, store: Store, fence: int) -> None:
    """Requests of the same user and server end up at the same job, one of them as its maker."""

    def post(other: Store) -> tuple[int, bool]:
        job, new = other.jobs.submit(request("alice", "lab"), fence=fence, at=1.0)
        return job.id, new

    answers = at_once(address, [post] * THREADS)

    assert len({id for id, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1


def test_of_two_leaders_writes_those_after_the_change_are_the_new_ones(address: str, store: Store) -> None:
    """While leadership changes under load no write of the old leader comes after the first of the new one."""
    old = lead(store, "old")
    fences = {"old": old}

    def submit_until_lost(other: Store) -> int:
        for n in range(10_000):
            try:
                other.jobs.submit(request(f"old{n}", f"{threading.get_ident()}"), fence=old, at=0.0)
            except LeaseLost:
                return n
        return -1

    def overthrow(other: Store) -> int:
        while len(other.jobs.open()) < 5:
            pass
        fences["new"] = lead(other, "new")
        for n in range(20):
            other.jobs.submit(request(f"new{n}"), fence=fences["new"], at=0.0)
        return 20

    counts = at_once(address, [submit_until_lost, submit_until_lost, overthrow])

    users = [user for (user,) in rows(address, "SELECT user_name FROM jobs ORDER BY id")]
    assert -1 not in counts
    assert len(users) == sum(counts)  # acknowledged and kept are the same
    assert all(user.startswith("new") for user in users[-20:])


def _admit_everything(address: str, fence: int, seed: int, answers: multiprocessing.SimpleQueue[list[int]]) -> None:
    """A process that tries to admit every job onto the same few devices until none is left."""
    given = []
    with closing(Store(address)) as store:
        while waiting := [job for job in store.jobs.open() if job.waiting]:
            job = waiting[seed % len(waiting)]
            try:
                job = store.jobs.apply(
                    job, Event.ADMIT, fence=fence, at=1.0, placement=on("n1", f"gpu{(job.id + seed) % 2}")
                )
                store.jobs.apply(job, Event.CANCEL, fence=fence, at=2.0)
            except (JobChanged, DeviceTaken):
                continue
            given.append(job.id)
    answers.put(given)


def test_processes_share_devices_without_a_double_grant(address: str, store: Store, fence: int) -> None:
    """Two processes that compete for jobs and devices: each job is moved by one of them, each story is whole."""
    ids = [queued(store, fence, f"user{n}").id for n in range(12)]
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[list[int]] = spawn.SimpleQueue()
    workers = [spawn.Process(target=_admit_everything, args=(address, fence, seed, answers)) for seed in (0, 1)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    assert [worker.exitcode for worker in workers] == [0, 0]
    assert sorted(answers.get() + answers.get()) == ids
    assert held(address) == []
    for id in ids:
        assert [line.event for line in store.jobs.events(id)] == [Event.SUBMIT, Event.ADMIT, Event.CANCEL]

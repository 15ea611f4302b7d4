"""Never lost, never double: random histories of store, planner and managers, with a clock that jumps and a leader that
is paused and wakes up.

What must hold is read off the processes, not off the store alone: no GPU is used by two jobs, and none that a process
uses is free.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpuqueue_spawner.manager import NotLeading, Refused, decisions
from gpuqueue_spawner.manager.launching import Permit
from gpuqueue_spawner.manager.leases import look as look_at_leases
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import InvalidTransition, Job, State
from gpuqueue_spawner.store import DeviceTaken, JobChanged, LeaseLost

from .world import World, new_job

EXPECTED = (Refused, InvalidTransition, KeyError, JobChanged, NotLeading, LeaseLost, DeviceTaken)

users = st.sampled_from(["alice", "bob", "alice-prod"])
servers = st.sampled_from(["", "prod"])
who = st.sampled_from(["leader"] * 5 + ["other"])  # the other one led before, and does not know that it no longer does
numbers = st.integers(min_value=0, max_value=50)


class Histories(RuleBasedStateMachine):
    """Two managers, one database, one machine."""

    def __init__(self) -> None:
        super().__init__()
        shared_memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=shared_memory if shared_memory.is_dir() else None))
        self.world = World(folder=self.folder)
        self.accepted: set[int] = set()
        self.permits: list[Permit] = []
        self.requests = 0

    @initialize()
    def two_managers(self) -> None:
        self.offices = [self.world.office(queued_jobs=0, retry_delay=5.0) for _ in range(2)]
        self.world.lead(self.offices[0])
        self.leader = 0

    def teardown(self) -> None:
        self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- helpers ---------------------------------------------------------------------------------------------------

    def act(self, office: Office, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it; one that is not the leader any more must not have written anything."""
        before = self.written() if office is not self.offices[self.leader] else None
        try:
            return self.world.run(coroutine)
        except EXPECTED as error:
            if isinstance(error, LeaseLost):
                office.manager.stand_by()
            return None
        finally:
            if before is not None:
                assert self.written() == before, "a manager that does not lead wrote"

    def of(self, office: str) -> Office:
        return self.offices[self.leader if office == "leader" else 1 - self.leader]

    def written(self) -> list[tuple[int, int]]:
        """Id and version of every open job, from the database."""
        return [(job.id, job.version) for job in self.store.jobs.open()]

    @property
    def store(self) -> Any:
        return self.offices[self.leader].manager.db.store

    def decide(self, office: Office, number: int, decision: Callable[[Job], decisions.Change | None]) -> None:
        ids = sorted(office.manager.queue.jobs)
        if ids:
            self.act(office, office.manager.decide(ids[number % len(ids)], decision))

    # ---- what people and the Hub do --------------------------------------------------------------------------------

    @rule(office=who, user=users, server=servers, gpus=st.integers(0, 5), again=st.booleans())
    def submit(self, office: str, user: str, server: str, gpus: int, again: bool) -> None:
        self.requests += not again
        new = new_job(user, server, gpus=gpus, request=f"request-{user}-{server}-{self.requests}")
        answer = self.act(self.of(office), self.of(office).manager.submit(new))
        if answer is not None:
            self.accepted.add(answer[0].id)

    @rule(office=who, number=numbers)
    def stop(self, office: str, number: int) -> None:
        self.decide(self.of(office), number, lambda job: decisions.stop(job, now=self.world.now, by="alice"))

    @rule(office=who, number=numbers)
    def hold(self, office: str, number: int) -> None:
        self.decide(self.of(office), number, lambda job: decisions.hold(job, by="dana", note="wait"))

    @rule(office=who, number=numbers)
    def release(self, office: str, number: int) -> None:
        self.decide(self.of(office), number, lambda job: decisions.release(job, by="dana", note=""))

    @rule(office=who, number=numbers)
    def restart(self, office: str, number: int) -> None:
        self.decide(self.of(office), number, lambda job: decisions.restart(job, by="alice"))

    @rule(office=who, number=numbers)
    def give_back(self, office: str, number: int) -> None:
        self.decide(self.of(office), number, lambda job: decisions.requeue(job, note="not launched"))

    @rule(office=who, number=numbers)
    def ask_for_a_launch(self, office: str, number: int) -> None:
        """A Hub that died before it launched asks again, as often as it likes."""
        it = self.of(office)
        ids = sorted(job.id for job in it.manager.queue.holding())
        if not ids:
            return

        async def permit() -> Permit:
            done = asyncio.Event()

            async def look() -> None:
                while not done.is_set():
                    with suppress(*EXPECTED):
                        await it.watch.look()
                    await asyncio.sleep(0.001)

            looking = asyncio.create_task(look())
            try:
                return await it.launching.permit(ids[number % len(ids)], version=None)
            finally:
                done.set()
                await looking

        answer = self.act(it, permit())
        if answer is not None:
            self.permits.append(answer)

    @precondition(lambda self: self.permits)
    @rule(office=who, number=numbers)
    def a_wrapper_claims(self, office: str, number: int) -> None:
        """Also one that was paused for long, or whose permit was used before: a notebook only when told so."""
        permit = self.permits[number % len(self.permits)]
        it, machine = self.of(office), self.world.machine
        devices = tuple(filter(None, permit.environment["GPUQUEUE_GPUS"].split(",")))
        pid = machine.fork(permit.job.key, permit.launch, devices)
        if self.act(it, it.launching.claim(permit.ticket, pid=pid, started=pid)) is None:
            machine.alive.pop(pid, None)
        elif pid in machine.alive:
            machine.alive[pid].notebook = True

    @precondition(lambda self: self.permits)
    @rule(office=who, number=numbers)
    def the_notebook_answers(self, office: str, number: int) -> None:
        permit = self.permits[number % len(self.permits)]
        machine = self.world.machine.alive.values()
        if any(each.notebook and (each.key, each.launch) == (permit.job.key, permit.launch) for each in machine):
            self.act(
                self.of(office),
                self.of(office).manager.decide(
                    permit.job.id, lambda job: decisions.ready(job, launch=permit.launch, now=self.world.now)
                ),
            )

    @rule(number=numbers)
    def a_turn_comes_as_it_should(self, number: int) -> None:
        """From the plan to a notebook that answers, without an accident: histories must get there to go wrong there."""
        it = self.of("leader")
        self.act(it, plan_once(it.manager))
        admitted = [job for job in it.manager.queue.holding() if job.state is State.ADMITTED]
        if admitted:
            self.ask_for_a_launch("leader", it.manager.queue.holding().index(admitted[number % len(admitted)]))
            self.a_wrapper_claims("leader", len(self.permits) - 1)
            self.the_notebook_answers("leader", len(self.permits) - 1)

    @rule(office=who, number=numbers)
    def a_launch_fails(self, office: str, number: int) -> None:
        it = self.of(office)
        self.decide(it, number, lambda job: decisions.failed(job, launch=job.launch, message="no", retries=2))

    # ---- what the machine does -------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.machine.alive)
    @rule(number=numbers)
    def a_process_ends(self, number: int) -> None:
        pids = sorted(self.world.machine.alive)
        del self.world.machine.alive[pids[number % len(pids)]]

    @precondition(lambda self: any(each.notebook for each in self.world.machine.alive.values()))
    @rule(number=numbers)
    def a_kernel_is_forked(self, number: int) -> None:
        """It may outlive its server, and still uses the GPUs."""
        notebooks = [each for _, each in sorted(self.world.machine.alive.items()) if each.notebook]
        parent = notebooks[number % len(notebooks)]
        self.world.machine.fork(parent.key, parent.launch, parent.devices, notebook=True)

    @rule(seconds=st.sampled_from([1.0, 30.0, 700.0, 3600.0, -3600.0]))
    def the_clock_moves(self, seconds: float) -> None:
        self.world.now += seconds

    # ---- what the managers do --------------------------------------------------------------------------------------

    @rule(office=who)
    def plan(self, office: str) -> None:
        self.act(self.of(office), plan_once(self.of(office).manager))

    @rule(office=who)
    def look(self, office: str) -> None:
        self.act(self.of(office), self.of(office).watch.look())

    @rule(office=who, number=numbers, status=st.sampled_from([0, 1, -9, None]))
    def it_is_told_how_a_server_ended(self, office: str, number: int, status: int | None) -> None:
        """Of one whose process is gone, also late, and more than once."""
        jobs = self.of(office).manager.queue.jobs
        lost = [job for _, job in sorted(jobs.items()) if (job.id, job.launch) in self.of(office).watch.lost]
        if lost:
            it = lost[number % len(lost)]
            self.act(
                self.of(office),
                self.of(office).manager.decide(
                    it.id, lambda job: decisions.exited(job, launch=it.launch, status=status, now=self.world.now)
                ),
            )

    @rule(office=who)
    def leases(self, office: str) -> None:
        manager = self.of(office).manager
        self.act(self.of(office), look_at_leases(manager, now=self.world.now, since=self.world.now - 100))

    @rule(office=who, number=numbers)
    def sweep(self, office: str, number: int) -> None:
        """End what is on its way out."""
        it = self.of(office)
        leaving = [job for job in it.manager.queue.holding() if job.state is State.STOPPING]
        if leaving and office == "leader":
            self.world.run(it.ending.sweep(leaving[number % len(leaving)].key))

    @rule(office=who)
    def kill_a_manager(self, office: str) -> None:
        """Nothing that was promised lives in the process."""
        number = self.leader if office == "leader" else 1 - self.leader
        self.offices[number] = self.world.office(queued_jobs=0, retry_delay=5.0)
        if number == self.leader:
            self.world.lead(self.offices[number])

    @rule()
    def the_other_takes_over(self) -> None:
        """The former leader was paused, and is not told."""
        self.leader = 1 - self.leader
        self.world.lead(self.offices[self.leader])

    # ---- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def no_gpu_is_used_by_two_jobs(self) -> None:
        users: dict[str, str] = {}
        for each in self.world.machine.alive.values():
            for device in each.devices if each.notebook else ():
                assert users.setdefault(device, each.key) == each.key, self.story(each.key)

    @invariant()
    def no_gpu_in_use_is_free(self) -> None:
        held = {(device, job.key) for job in self.store.jobs.open() if job.holding for device in job.placement.devices}
        for each in self.world.machine.alive.values():
            for device in each.devices if each.notebook else ():
                assert (device, each.key) in held, self.story(each.key)

    @invariant()
    def no_gpu_is_held_twice(self) -> None:
        held = [device for job in self.store.jobs.open() if job.holding for device in job.placement.devices]
        assert len(held) == len(set(held))

    @invariant()
    def every_accepted_request_is_there(self) -> None:
        """In the queue, or with exactly one end and a moment for it."""
        for id in self.accepted:
            job = self.store.jobs.get(id)
            assert job is not None
            assert (job.end is not None and job.ended is not None) if job.state is State.ENDED else job.ended is None

    @invariant()
    def memory_is_what_the_database_says(self) -> None:
        manager = self.offices[self.leader].manager
        assert sorted((job.id, job.version) for job in manager.queue.jobs.values()) == sorted(self.written())

    def story(self, key: str) -> str:
        job = self.store.jobs.by_key(key)
        lines = [
            f"{event.at:.0f} {event.event} -> {event.state} {event.note}" for event in self.store.jobs.events(job.id)
        ]
        return "\n".join([str(job), *lines, *map(str, self.world.machine.alive.items())])


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("GPUQUEUE_HISTORIES", "40")),
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

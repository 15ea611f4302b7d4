"""What runs on a cluster may be taken away: each way out of it has one written outcome, whoever tells of it first.

On a real manager and database; pods live and go by the test's will.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gpuqueue_spawner.capacity import Observation, Pod
from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.hub import Started
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import Cause, End, Fate, Job, Resources, State
from gpuqueue_spawner.model.resources import NVIDIA_GPU

from .world import Machine, World, new_job

WORDS = "The cluster took the server away from dgx1: somebody cleared that node."
TAKEN = Fate(cause=Cause.TAKEN, words=WORDS)


class Pods(Machine):
    """Nodes with pods, which the Hub makes and ends."""

    ends = False
    takes_away = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pods: dict[tuple[str, int], Pod] = {}
        self.fates: dict[tuple[str, int], Fate] = {}
        self.away: frozenset[str] = frozenset()

    def make(self, job: Job) -> None:
        assert job.placement is not None
        self.pods[job.key, job.launch] = Pod(
            name="p", namespace="hub", node=job.placement.node, launch=job.launch, resources=Resources()
        )

    def lose(self, job: Job, fate: Fate | None) -> None:
        """It is gone; None: nobody saw why."""
        self.pods.pop((job.key, job.launch), None)
        if fate is not None:
            self.fates[job.key, job.launch] = fate

    def look(self) -> Observation:
        jobs: dict[str, tuple[Pod, ...]] = {}
        for (key, _), pod in self.pods.items():
            jobs[key] = (*jobs.get(key, ()), pod)
        return Observation(nodes=self.nodes, jobs=jobs, fates=dict(self.fates), away=self.away)

    def end(self, key: str, *, grace: float) -> bool:
        return not any(its == key for its, _ in self.pods)


@pytest.fixture
def pods() -> Pods:
    return Pods(instance="0123456789abcdef")


@pytest.fixture
def machine(pods: Pods) -> Machine:
    return pods


@pytest.fixture
def office(world: World, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr("gpuqueue_spawner.manager.watching.SEES_S", 0.2)
    monkeypatch.setattr("gpuqueue_spawner.manager.ending.EXIT_S", 0.0)
    monkeypatch.setattr("gpuqueue_spawner.manager.ending.HUB_S", 0.0)
    monkeypatch.setattr("gpuqueue_spawner.manager.resume.GRACE_S", 0.0)
    it = world.office(retry_delay=5)  # of a launch that failed: here nothing may wait for it
    world.lead(it)
    return it


def now(office: Office, job: Job) -> Job:
    return office.manager.queue.jobs.get(job.id) or office.manager.queue.ended[job.id]


def starting(world: World, office: Office, pods: Pods, user: str = "alice", gpus: int = 4) -> Job:
    job, _ = world.run(office.manager.submit(new_job(user, gpus=gpus)))
    world.run(plan_once(office.manager))
    job = world.run(office.manager.decide(job.id, lambda job: decisions.launch(job, version=None)))
    pods.make(job)
    world.run(office.watch.look())
    return job


def running(world: World, office: Office, pods: Pods, user: str = "alice") -> Job:
    job = starting(world, office, pods, user)
    return world.run(office.manager.decide(job.id, lambda it: decisions.ready(it, launch=job.launch, now=world.now)))


def look(world: World, office: Office) -> None:
    """Until nothing moves any more."""
    for _ in range(3):
        world.run(office.watch.look())


def test_what_the_cluster_takes_away_goes_back_to_its_place_with_the_reason(
    world: World, office: Office, pods: Pods
) -> None:
    """In front of all who came later; its owner has the whole time again, and admins are told."""
    alice, _ = running(world, office, pods, "alice"), running(world, office, pods, "bob")
    world.now += 60
    carol, _ = world.run(office.manager.submit(new_job("carol", gpus=4)))

    pods.lose(alice, TAKEN)
    look(world, office)

    it = now(office, alice)
    assert (it.state, it.key, it.queued, it.message) == (State.QUEUED, alice.key, alice.queued, WORDS)
    assert (it.ends, it.failures, it.placement) == (None, 0, None)
    assert [(each.job, each.user, each.words) for each in office.watch.taken] == [(alice.id, "alice", WORDS)]
    world.run(plan_once(office.manager))
    assert (now(office, alice).state, now(office, carol).state) == (State.ADMITTED, State.QUEUED)
    again = world.run(office.manager.decide(alice.id, lambda job: decisions.launch(job, version=None)))
    assert again.launch == 2, "the old pod and the new one have names of their own"


def test_its_gpus_are_held_until_it_is_gone(world: World, office: Office, pods: Pods) -> None:
    """A pod that is asked to end may take half a minute for it."""
    job = running(world, office, pods)
    pods.fates[job.key, job.launch] = TAKEN

    look(world, office)
    assert (now(office, job).state, now(office, job).end) == (State.STOPPING, None)

    pods.lose(job, None)
    look(world, office)
    assert now(office, job).state is State.QUEUED


ENDED = Fate(cause=Cause.ENDED, status=0)
HUB_SAYS: dict[str, tuple[int | None, Fate | None]] = {
    "nothing": (None, None),
    "that it ended well": (0, None),
    "that it was asked to end": (None, Fate(cause=Cause.DELETED)),
    "that it was taken": (None, TAKEN),
}


@pytest.mark.parametrize("first", ["the Hub", "the manager"])
@pytest.mark.parametrize("says", HUB_SAYS)
def test_the_hub_s_word_of_its_death_changes_nothing_whether_it_comes_before_or_after(
    first: str, says: str, world: World, office: Office, pods: Pods
) -> None:
    job = running(world, office, pods)
    status, fate = HUB_SAYS[says]
    told = office.ending.exited

    def tell() -> None:
        world.run(_looking(office, told(now(office, job), launch=job.launch, status=status, fate=fate)))

    pods.lose(job, TAKEN)
    for step in (tell, lambda: look(world, office))[:: 1 if first == "the Hub" else -1]:
        step()
    look(world, office)

    assert (now(office, job).state, now(office, job).message) == (State.QUEUED, WORDS)
    assert len(office.watch.taken) == 1


async def _looking(office: Office, coroutine: Any) -> Any:
    """Beside a watch that looks again and again, as it does in its loop."""
    task = asyncio.ensure_future(coroutine)
    while not task.done():
        await office.watch.look()
        await asyncio.sleep(0.01)
    return task.result()


@pytest.mark.parametrize(
    ("fate", "status", "end", "words"),
    [
        (Fate(cause=Cause.DELETED), None, End.STOPPED, decisions.DELETED),
        (ENDED, None, End.COMPLETED, decisions.SHUT_DOWN),
        (None, 0, End.COMPLETED, decisions.SHUT_DOWN),
        (Fate(cause=Cause.DELETED), 3, End.FAILED, "The notebook ended with status 3."),
        (Fate(cause=Cause.ENDED, status=137, words="Out of memory."), None, End.FAILED, "Out of memory."),
    ],
    ids=["deleted", "ended well", "ended well, says the Hub", "ended badly, then deleted by the Hub", "out of memory"],
)
def test_what_ended_by_itself_or_was_deleted_has_ended(
    fate: Fate | None, status: int | None, end: End, words: str, world: World, office: Office, pods: Pods
) -> None:
    job = running(world, office, pods)
    pods.lose(job, fate)

    world.run(_looking(office, office.ending.exited(job, launch=job.launch, status=status, fate=None)))
    look(world, office)

    assert (now(office, job).state, now(office, job).end, now(office, job).message) == (State.ENDED, end, words)


def test_what_vanished_while_nobody_looked_starts_anew(world: World, office: Office, pods: Pods) -> None:
    """The manager was down and the Hub too: a pod never vanishes by itself, and nobody has stopped its server."""
    job = running(world, office, pods)
    pods.lose(job, None)
    office = world.office()
    world.lead(office)

    world.run(office.ending._learn(now(office, job)))
    look(world, office)

    assert (now(office, job).state, now(office, job).message) == (State.QUEUED, decisions.VANISHED)


def test_what_was_stopped_by_its_owner_and_taken_in_the_same_moment_has_ended(
    world: World, office: Office, pods: Pods
) -> None:
    job = running(world, office, pods)
    world.run(office.manager.decide(job.id, lambda job: decisions.stop(job, now=world.now, by=decisions.IN_HUB)))

    pods.lose(job, TAKEN)
    look(world, office)

    assert (now(office, job).state, now(office, job).end) == (State.ENDED, End.STOPPED)


def test_a_launch_that_the_cluster_takes_away_is_no_failure_of_its_own(
    world: World, office: Office, pods: Pods
) -> None:
    """However often; whoever tells first."""
    job = starting(world, office, pods)
    for number in range(4):
        pods.lose(job, TAKEN if number % 2 else None)
        if number % 2 == 0:
            world.run(office.ending.failed(job, launch=job.launch, message=WORDS, taken=True))
        look(world, office)
        assert (now(office, job).state, now(office, job).failures) == (State.QUEUED, 0)
        world.now += 5
        world.run(plan_once(office.manager))
        job = world.run(office.manager.decide(job.id, lambda job: decisions.launch(job, version=None)))
        pods.make(job)


def test_what_its_node_refuses_as_it_starts_is_a_failed_launch_and_later_is_not(
    world: World, office: Office, pods: Pods
) -> None:
    """Else it would be tried for ever."""
    refused = Fate(cause=Cause.REFUSED, words="The cluster took the server away from dgx1: OutOfcpu.")
    first, second = starting(world, office, pods), running(world, office, pods, "bob")

    for job in (first, second):
        pods.lose(job, refused)
    look(world, office)

    assert (now(office, first).state, now(office, second).state) == (State.STARTING, State.QUEUED)


def test_a_hub_that_gave_up_what_lives_is_handed_it_back(world: World, office: Office, pods: Pods) -> None:
    """It would run on, and nobody could open it."""
    job = running(world, office, pods)

    world.run(_looking(office, office.ending.exited(job, launch=job.launch, status=None, fate=None)))

    assert now(office, job).state is State.RESTARTING


def test_while_the_cluster_cannot_be_read_the_hub_s_word_alone_ends_nothing(
    world: World, office: Office, pods: Pods
) -> None:
    job = running(world, office, pods)
    office.manager.room.unknown = "The cluster does not answer."

    world.run(office.ending.exited(job, launch=job.launch, status=None, fate=None))

    assert now(office, job) == job


def test_a_hub_that_has_not_seen_it_yet_lets_the_dead_server_go_and_starts_a_new_one(
    world: World, office: Office, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stop is the queue's own, and cancels nothing."""
    job = running(world, office, pods)
    pods.lose(job, TAKEN)
    look(world, office)
    asked: list[Any] = []

    async def start_server(user: str, server: str, options: Any) -> tuple[Started, str]:
        asked.append("start")
        return (Started.ACCEPTED, "") if "stop" in asked else (Started.RUNNING, f"{user} is already running")

    async def stop_server(user: str, server: str) -> bool:
        asked.append("stop")
        assert office.hubs.is_asked(job.key)
        return True

    monkeypatch.setattr(office.resume.hub, "start_server", start_server)
    monkeypatch.setattr(office.resume.hub, "stop_server", stop_server)

    async def hand_back() -> None:
        with office.hubs.connected("hub-one-of-one", []):
            await office.resume.look()
            office.resume._patience[job.id].next = 0.0
            await office.resume.look()

    world.run(hand_back())

    assert asked == ["start", "stop", "start"]
    assert not office.hubs.is_asked(job.key)
    assert now(office, job).state is State.QUEUED


def test_a_job_that_waits_uses_up_no_lease(world: World, office: Office, pods: Pods) -> None:
    """It gets the whole of it when it runs again."""
    job = running(world, office, pods)
    pods.lose(job, TAKEN)
    look(world, office)
    world.now += 10 * job.lease

    world.run(plan_once(office.manager))
    again = world.run(office.manager.decide(job.id, lambda job: decisions.launch(job, version=None)))
    pods.make(again)
    it = world.run(office.manager.decide(job.id, lambda job: decisions.ready(job, launch=2, now=world.now)))

    assert it.ends == world.now + job.lease
    assert replace(it, ends=None).extended == 0.0


def test_a_node_that_is_dead_for_a_moment_is_not_given_up_and_one_that_stays_so_is(world: World, pods: Pods) -> None:
    """A cluster that was away calls its nodes dead until it has heard of them; what runs there is then seen gone."""
    clock = [100.0]
    office = world.office()
    office.watch._clock = lambda: clock[0]
    world.lead(office)
    job = running(world, office, pods)
    pods.fates[job.key, job.launch] = TAKEN
    pod = pods.pods[job.key, job.launch]
    pods.pods[job.key, job.launch] = replace(pod, lost=True)

    look(world, office)
    clock[0] += 9
    look(world, office)
    assert now(office, job).state is State.STOPPING

    clock[0] += 2
    look(world, office)
    it = now(office, job)
    assert it.state is State.QUEUED
    assert it.message == f"{WORDS} {pod.node} was lost. What ran there may still write to its files."
    assert office.manager.room.marks[pod.node].drained


def test_what_took_its_room_has_it_before_the_job_is_placed_anew(world: World, office: Office, pods: Pods) -> None:
    """Else it would be given the same GPUs again, by what was seen while it held them itself."""
    job = running(world, office, pods)
    assert job.placement is not None
    home = job.placement.node
    urgent = Resources(gpus={NVIDIA_GPU: 4})
    pods.nodes = tuple(replace(node, used=urgent) if node.name == home else node for node in pods.nodes)
    pods.fates[job.key, job.launch] = TAKEN
    look(world, office)

    pods.lose(job, None)
    world.run(office.watch.look())
    world.run(plan_once(office.manager))

    again = now(office, job)
    assert again.state is State.ADMITTED
    assert again.placement is not None
    assert again.placement.node != home


# ---- a node that nobody hears from -----------------------------------------------------------------------------------


class Aging:
    """A manager that leads, and a clock for what it sees."""

    def __init__(self, world: World) -> None:
        self.world, self.office = world, world.office()
        self.clock = 100.0
        self.office.watch._clock = lambda: self.clock
        world.lead(self.office)

    def after(self, seconds: float) -> None:
        """Look on as time goes by."""
        self.clock += seconds
        look(self.world, self.office)

    @property
    def drained(self) -> dict[str, str]:
        """The nodes that are, and why."""
        return {name: mark.note for name, mark in self.office.manager.room.marks.items() if mark.drained}


def test_a_launch_on_a_node_that_is_not_heard_from_is_given_up_at_once(world: World, pods: Pods) -> None:
    """It is told that the node is lost, not that it did not answer in time; that is no failure of its own."""
    aging = Aging(world)
    job = starting(world, aging.office, pods)
    assert job.placement is not None

    pods.away = frozenset({job.placement.node})
    aging.after(0)
    aging.after(9)
    assert now(aging.office, job).state is State.STARTING
    aging.after(2)

    it = now(aging.office, job)
    assert (it.state, it.failures, it.end) == (State.STOPPING, 0, None)
    assert it.message == "The cluster does not hear from dgx1 any more."


def test_a_node_that_was_lost_comes_back_drained_whatever_ran_there(world: World, pods: Pods) -> None:
    """Nothing here. A short absence, as for a restart of the machine, drains nothing."""
    aging = Aging(world)

    for seconds in (0, 290):
        pods.away = frozenset({"dgx1"})
        aging.after(seconds)
    assert aging.drained == {}
    pods.away = frozenset()
    aging.after(1)
    pods.away = frozenset({"dgx2"})
    aging.after(290)
    assert aging.drained == {}
    aging.after(301)
    pods.away = frozenset()
    aging.after(1)

    assert aging.drained == {"dgx2": "It was lost."}


def test_a_lost_node_that_an_admin_takes_back_is_not_drained_again_before_it_was_there(
    world: World, pods: Pods
) -> None:
    """Who says so knows more than the queue."""
    aging = Aging(world)
    pods.away = frozenset({"dgx1"})
    aging.after(0)
    aging.after(301)

    world.run(aging.office.manager.mark_node("dgx1", drained=False, note="", by="dana"))
    aging.after(301)

    assert aging.drained == {}

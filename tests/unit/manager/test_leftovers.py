"""A pod that nobody deleted is named to the Hub once its launch is over for good, and no other ever is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from gpuqueue_spawner.capacity import Pod
from gpuqueue_spawner.manager import decisions
from gpuqueue_spawner.manager.leftovers import PATIENCE_S, Left, Leftovers
from gpuqueue_spawner.manager.planning import plan_once
from gpuqueue_spawner.manager.run import Office
from gpuqueue_spawner.model import End, Job, Resources, State

from .test_taken import Pods, look, now, running, starting
from .world import Machine, World


@pytest.fixture
def pods() -> Pods:
    return Pods(instance="0123456789abcdef")


@pytest.fixture
def machine(pods: Pods) -> Machine:
    return pods


@dataclass
class Looker:
    """Looks for what is left, on a clock of its own."""

    world: World
    office: Office
    pods: Pods
    seconds: float = 0.0
    it: Leftovers = field(init=False)

    def __post_init__(self) -> None:
        manager, watch = self.office.manager, self.office.watch
        self.it = Leftovers(manager, self.pods, watch, clock=lambda: self.seconds)

    def due(self, *, after: float = PATIENCE_S) -> list[tuple[str, int]]:
        """What is due that much later, of what is there now and then."""
        look(self.world, self.office)
        self.world.run(self.it.look())
        self.seconds += after
        self.world.run(self.it.look())
        return [(each.key, each.launch) for each in self.it.due]


@pytest.fixture
def looker(world: World, office: Office, pods: Pods) -> Looker:
    return Looker(world, office, pods)


def stop(world: World, office: Office, job: Job) -> None:
    world.run(office.manager.decide(job.id, lambda it: decisions.stop(it, now=world.now, end=End.STOPPED)))


def pod(launch: int) -> Pod:
    return Pod(name=f"p{launch}", namespace="hub", node="dgx1", launch=launch, resources=Resources())


def test_what_a_stop_did_not_reach_is_named_until_it_is_gone(
    world: World, office: Office, pods: Pods, looker: Looker
) -> None:
    """After the time that the Hub has for it; then the job ends."""
    job = running(world, office, pods)
    assert looker.due() == []
    stop(world, office, job)

    assert looker.due(after=PATIENCE_S - 1) == []
    assert looker.due(after=1) == [(job.key, 1)]
    assert looker.due(after=600) == [(job.key, 1)]
    assert looker.it.due == (Left(key=job.key, namespace="hub", launch=1),)

    pods.lose(job, None)
    assert looker.due(after=0) == []
    assert now(office, job).state is State.ENDED


def test_what_reaches_the_cluster_late_is_named(world: World, office: Office, pods: Pods, looker: Looker) -> None:
    """After its job has ended, by a manager that has never heard of it, too; and beside a later launch, which stays."""
    ended, again = running(world, office, pods, "alice"), starting(world, office, pods, "bob")
    stop(world, office, ended)
    pods.lose(ended, None)
    looker.due(after=0)
    world.run(office.ending.failed(again, launch=1, message="no", taken=False, away=True))
    pods.lose(again, None)
    looker.due(after=0)
    assert (now(office, again).state, now(office, again).failures) == (State.QUEUED, 0), "it waits for its next launch"

    pods.make(ended)
    pods.make(again)
    wanted = sorted([(ended.key, 1), (again.key, 1)])
    assert sorted(looker.due()) == wanted

    world.now += 60
    world.run(plan_once(office.manager))
    world.run(office.manager.decide(again.id, lambda job: decisions.launch(job, version=None)))
    pods.pods[again.key, 2] = pod(2)
    assert sorted(looker.due()) == wanted
    successor = world.office()
    world.lead(successor)
    assert sorted(Looker(world, successor, pods).due()) == wanted


def test_what_this_queue_does_not_know_is_named_to_nobody(
    world: World, office: Office, pods: Pods, looker: Looker
) -> None:
    """A restored database may be older than a job, or than a launch: such a server is shown, and runs on."""
    job = running(world, office, pods)
    stop(world, office, job)
    pods.lose(job, None)
    pods.pods["f" * 32, 1] = pod(1)
    pods.pods[job.key, 2] = pod(2)

    assert looker.due() == []


def test_what_is_on_its_way_out_already_is_named_to_nobody(
    world: World, office: Office, pods: Pods, looker: Looker
) -> None:
    job = running(world, office, pods)
    stop(world, office, job)
    pods.pods[job.key, 1] = replace(pods.pods[job.key, 1], leaving=True)

    assert looker.due() == []


def test_who_does_not_lead_any_more_names_nobody_s_pods(
    world: World, office: Office, pods: Pods, looker: Looker
) -> None:
    """And who cannot see the cluster names none either."""
    job = running(world, office, pods)
    stop(world, office, job)
    assert looker.due() == [(job.key, 1)]

    office.manager.room.unknown = "The cluster does not answer."
    world.run(looker.it.look())
    assert looker.it.due == ()

"""Two managers of one chart: the one that leads is killed, paused and cut off, and the other one takes over.

Real pods on a real PostgreSQL, whose triggers say who wrote. Two hundred take-overs, and clocks an hour off:
tests/store/test_take_overs.py.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from gpuqueue_spawner.manager.leadership import TTL_S
from gpuqueue_spawner.store.database import Database
from gpuqueue_spawner.store.schema import Schema
from tests.services.audit import Audit
from tests.services.database import running
from tests.services.kubernetes.chart import CHART, RELEASE, Installed, Networked, chart_in, rendered
from tests.services.kubernetes.cluster import Cluster
from tests.services.kubernetes.processes import PodProcess
from tests.services.kubernetes.queue import KEYS
from tests.services.program import until
from tests.services.promises import promise
from tests.services.site import PREFIX
from tests.services.visitor import Visitor
from tests.store.builders import later_version

from .objects import evict, ready

START_S = 180
OVER_S = TTL_S + 45  #: a lease, and as long as a busy machine may take to see that it is over
AGAIN_S = 120  #: a container that fails at its start is started again after a pause that grows


@pytest.fixture(scope="module")
def server(own_cluster: Cluster) -> Iterator[Networked]:
    """The queue's database server, in the cluster's network."""
    with running(Networked, "pg-") as it:
        it.make("gpuqueue")
        yield it


@pytest.fixture(scope="module")
def house(own_cluster: Cluster, server: Networked) -> Iterator[Installed]:
    """The chart with two managers."""
    with chart_in(own_cluster, "managers", database=server.address_for_pods("gpuqueue")) as it:
        yield it


@pytest.fixture(scope="module")
def audit(house: Installed, server: Networked) -> Audit:
    """Who writes, by the addresses of their pods."""
    it = Audit(server.address("gpuqueue"))
    it.begin()
    return it


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who runs, and who waits; by name, with number and pods."""

    people: dict[str, Visitor]
    jobs: dict[str, tuple[int, str]]
    pods: dict[str, list[str]]

    @classmethod
    def of(cls, house: Installed, people: dict[str, Visitor]) -> Crowd:
        """As they are now."""
        jobs = {name: each.job() or {} for name, each in people.items()}
        return cls(
            people=people,
            jobs={name: (job["id"], job["state"]) for name, job in jobs.items()},
            pods={name: uids(house, job["id"]) for name, job in jobs.items()},
        )


def uids(house: Installed, job: int) -> list[str]:
    """The pods of a job."""
    return sorted(each["metadata"]["uid"] for each in house.notebooks.all("pods", labels=f"{KEYS}job={job}"))


@pytest.fixture(scope="module")
def crowd(house: Installed) -> Crowd:
    """Two who hold every GPU, and one who waits."""
    people = {name: Visitor(house, name).login() for name in ("ada", "bob", "carol")}
    for name in ("ada", "bob"):
        people[name].start("gpu", gpus="gpu8")
        people[name].job_is("running", within=START_S)
    people["carol"].start("gpu", gpus="gpu2")
    people["carol"].job_is("queued")
    return Crowd.of(house, people)


def leaders(house: Installed) -> list[str]:
    """Pods that requests are sent to."""
    return [each["metadata"]["name"] for each in house.pods("manager") if ready(each)]


def the_leader(house: Installed) -> str:
    """The one that leads."""
    until(lambda: len(leaders(house)) == 1, within=OVER_S, what="one leads", story=house.story)
    return leaders(house)[0]


def manager(pod: str) -> PodProcess:
    """Its process."""
    return PodProcess(pod, "manager")


def health(house: Installed, pod: str) -> dict[str, Any]:
    """What a manager says of itself, asked directly."""
    address = house.kubectl.get("pod", pod)["status"]["podIP"]
    found: dict[str, Any] = requests.get(f"http://{address}:8083{PREFIX}health", timeout=5).json()
    return found


def killed(process: PodProcess) -> Callable[[], None]:
    process.kill()
    return lambda: None


def paused(process: PodProcess) -> Callable[[], None]:
    process.pause()
    return process.resume


def cut_off_from_the_database(process: PodProcess) -> Callable[[], None]:
    process.cut("-p", "tcp", "port", "5432")
    return process.heal


def cut_off_from_everything(process: PodProcess) -> Callable[[], None]:
    process.cut()
    return process.heal


_numbers = itertools.count(1)


@pytest.mark.parametrize(
    "fault", [killed, paused, cut_off_from_the_database, cut_off_from_everything], ids=lambda fault: fault.__name__
)
def test_the_other_one_leads_when_the_lease_is_over_and_the_old_one_writes_nothing(
    house: Installed, audit: Audit, crowd: Crowd, server: Networked, fault: Callable[[PodProcess], Callable[[], None]]
) -> None:
    """Also somebody who asks meanwhile has one job; and requests, the Hub's too, go to who leads."""
    old, dan = the_leader(house), Visitor(house, f"dan{next(_numbers)}").login()
    fence = audit.leader()

    come_back = fault(manager(old))
    dan.start("gpu", gpus="gpu1")
    until(lambda: audit.leader() > fence, within=OVER_S, what="the other one leads", story=house.story)
    if fault is not killed:  # the container of one that was killed starts anew, and may be the next to lead
        until(lambda: old not in leaders(house), within=OVER_S, what="the old one is left out", story=house.story)
    house.wait()  # and the Hub has found the new one
    come_back()

    assert audit.leader() == fence + 1
    until(lambda: "leading" in _asked(house, old), within=AGAIN_S, what="the old one answers", story=house.story)
    time.sleep(5)  # for whatever it may still want to do
    if fault is not killed:
        assert not health(house, old)["leading"]
        assert the_leader(house) != old
    the_leader(house)
    waits = dan.job_is("queued")["id"]
    assert Crowd.of(house, crowd.people) == crowd
    assert jobs_of(server, dan.name) == [waits]
    promise(
        all(len(each) == 1 for each in audit.writers().values()), f"two managers wrote at a time: {audit.writers()}"
    )
    dan.stop()
    dan.all_ended()


def _asked(house: Installed, pod: str) -> dict[str, Any]:
    try:
        return health(house, pod)
    except requests.RequestException:
        return {}


def jobs_of(server: Networked, user: str) -> list[int]:
    """Every job that somebody ever had."""
    with psycopg.connect(server.address("gpuqueue")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM jobs WHERE user_name = %s", (user,))]


def test_managers_that_are_cut_off_from_the_database_hold_up_no_drain(house: Installed, crowd: Crowd) -> None:
    """Nobody leads then, so nobody is healthy, and yet each may be evicted; those that start anew lead."""
    old = [each["metadata"]["name"] for each in house.pods("manager")]
    for each in old:
        cut_off_from_the_database(manager(each))
    until(lambda: not leaders(house), within=OVER_S, what="nobody leads", story=house.story)

    for each in old:
        evict(house.kubectl, each)

    house.wait()
    assert the_leader(house) not in old
    assert Crowd.of(house, crowd.people) == crowd


# ---- helm waits ------------------------------------------------------------------------------------------------------


def test_helm_waits_for_an_upgrade_and_it_ends(house: Installed, crowd: Crowd) -> None:
    """By --wait=legacy, which asks of a deployment what it may not be without; then `helm test` for the rest."""
    house.values["manager"] = house.values["manager"] | {"helpUrl": "mailto:gpu@example.org"}
    begun = time.monotonic()

    house.helm(*("upgrade", "--install", RELEASE, str(CHART), "--wait=legacy", "--timeout=170s"), values=house.values)
    said = house.helm("test", RELEASE)

    assert time.monotonic() - begun < 2 * START_S
    assert "Succeeded" in said
    house.wait()  # what answered may have been the old leader, which leads on until a new one does
    the_leader(house)
    assert Crowd.of(house, crowd.people) == crowd


def test_a_queue_that_nobody_leads_is_told_by_helm_test(house: Installed, crowd: Crowd) -> None:
    """In the words of the proxy, which has nobody to ask; the release is as before once somebody leads."""
    pod = next(
        each
        for each in rendered(house.values, namespace=house.kubectl.namespace)
        if each["kind"] == "Pod" and each["metadata"]["annotations"]["helm.sh/hook"] == "test"
    )
    pod["metadata"] = {"name": "impatient"}
    pod["spec"]["containers"][0]["command"][-1] = "1"
    house.kubectl("scale", f"deployment/{RELEASE}-manager", "--replicas=0")
    try:
        until(
            lambda: not house.kubectl.all("pods", labels="app.kubernetes.io/component=manager"),
            within=60,
            what="nobody leads",
            story=house.story,
        )

        house.kubectl.apply(pod)

        house.kubectl.until("pod", "impatient", lambda it: it["status"]["phase"] == "Failed", within=60, what="failed")
        assert "HTTP Error 503" in house.kubectl("logs", "impatient")
    finally:
        house.kubectl.delete("pod", "impatient")
        house.kubectl("scale", f"deployment/{RELEASE}-manager", "--replicas=2")
    house.wait()
    assert Crowd.of(house, crowd.people) == crowd


# ---- the tables are upgraded while managers run: the last tests, as what they do is undone by hand ------------------


@pytest.fixture
def upgraded(house: Installed, server: Networked, tmp_path: Path) -> Iterator[None]:
    """The database of a later version, as its chart's job leaves it."""
    with closing(Database(server.address("gpuqueue"), timeout=10.0)) as database:
        before = Schema(database).expected
        Schema(database, migrations=later_version(tmp_path / "later")).upgrade()
    yield
    with psycopg.connect(server.address("gpuqueue"), autocommit=True) as connection:
        connection.execute("ALTER TABLE jobs DROP COLUMN colour")
        connection.execute("UPDATE gpuqueue_schema SET version_num = %s", (before,))
    house.wait()


def test_managers_work_on_while_a_later_version_upgrades_their_database(
    house: Installed, crowd: Crowd, server: Networked, upgraded: None
) -> None:
    """The leader takes requests and gives GPUs away; the other may take over; one that starts anew refuses in words."""
    erin, leader = Visitor(house, "erin").login(), the_leader(house)

    erin.start("gpu", gpus="gpu1")
    waits = erin.job_is("queued")["id"]
    manager(leader).kill()
    until(lambda: leaders(house) not in ([], [leader]), within=OVER_S, what="the other one leads", story=house.story)

    refused = "install the version of gpuqueue that made it"
    until(lambda: refused in _logs(house, leader), within=60, what="the old one refuses", story=house.story)
    house.wait_for_the_queue()
    assert Crowd.of(house, crowd.people) == crowd
    assert jobs_of(server, "erin") == [waits]
    erin.stop()
    erin.all_ended()


def _logs(house: Installed, pod: str) -> str:
    return "".join(house.kubectl.tried("logs", pod, *which).stdout for which in ((), ("--previous",)))

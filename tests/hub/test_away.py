"""Something is away: the database or the Hub stands still, the manager is taken over, a disk is full.

Nobody is admitted on the strength of what may be gone, nothing is forgotten, and the pages say what is wrong.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.services.postgresql import PostgreSQL, postgresql
from tests.services.program import Program, free_port, until
from tests.services.site import PREFIX, Site, site
from tests.services.visitor import Visitor

Person = Callable[[Site], Visitor]


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    with postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def on_postgresql(database: PostgreSQL) -> Iterator[Site]:
    more = f'c.ManagerApp.db_url = "{database.database().replace("postgresql:", "postgresql+psycopg:")}"'
    with site(gpus=2, manager_more=f"{more}\nc.ManagerApp.database_limit = 3.0") as it:
        yield it


_names = itertools.count(1)


def somebody(at: Site) -> Visitor:
    """A person at a site of the test's own, which is gone with all that was left open."""
    return Visitor(at, f"guest{next(_names)}").login()


def health(at: Site) -> dict[str, object]:
    """What the manager says of itself, which it must within two seconds."""
    answer: dict[str, object] = requests.get(at.manager_url + PREFIX + "health", timeout=2).json()
    return answer


def test_a_database_that_stands_still_stops_admissions_and_nothing_else(
    on_postgresql: Site, database: PostgreSQL, person: Person
) -> None:
    """The manager answers, says what is wrong, keeps its lease, and goes on by itself."""
    alice, bob = person(on_postgresql), person(on_postgresql)
    alice.start("gpu2")
    running = alice.job_is("running")
    bob.start("gpu1")
    bob.job_is("queued")
    bob.token()

    database.freeze()
    try:
        until(lambda: "database" in str(health(on_postgresql)["problem"]), within=20, what="the problem is named")
        assert health(on_postgresql)["leading"] is True
        assert (bob.job() or {})["state"] == "queued", "what is known is still told"
        refused = alice.queue("POST", f"jobs/{running['id']}/stop", body={})
        assert (refused.status_code, refused.json()["code"]) == (503, "gpuqueue.unavailable")
        page = requests.get(on_postgresql.url + PREFIX, headers={"Authorization": f"token {bob.token()}"}, timeout=5)
        assert page.status_code == 200
        assert "database" in page.text
    finally:
        database.freeze(thaw=True)

    until(lambda: not health(on_postgresql)["problem"], within=30, what="all is well", story=on_postgresql.story)
    alice.queue("POST", f"jobs/{running['id']}/stop", body={})
    bob.job_is("running")


def test_a_database_that_was_restarted_is_used_again(on_postgresql: Site, database: PostgreSQL, person: Person) -> None:
    alice = person(on_postgresql)

    database.stop()
    until(lambda: "database" in str(health(on_postgresql)["problem"]), within=20, what="the problem is named")
    alice.start("gpu1")
    time.sleep(2)
    database.start()

    alice.job_is("running", within=60)


def test_a_hub_that_stands_still_is_said_and_others_are_served(own_site: Site, person: Person) -> None:
    """Nobody is admitted, since nobody could launch; a token that is not known gets words, not silence."""
    alice, bob = person(own_site), person(own_site)
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu1")
    bob.job_is("queued")

    own_site.hub.signal(signal.SIGSTOP)
    try:
        until(lambda: "JupyterHub" in str(health(own_site)["problem"]), within=25, what="the problem is named")
        begun = time.monotonic()
        headers = {"Authorization": "token nobody-knows-this-one"}
        unknown = requests.get(own_site.manager_url + PREFIX + "api/v1/me", headers=headers, timeout=15)
        assert (unknown.status_code, unknown.json()["code"]) == (503, "gpuqueue.hub-away")
        assert time.monotonic() - begun < 8
    finally:
        own_site.hub.signal(signal.SIGCONT)

    until(lambda: not health(own_site)["problem"], within=30, what="all is well", story=own_site.story)
    alice.stop()
    bob.job_is("running", within=60)


def test_a_second_manager_stands_by_and_takes_over() -> None:
    """Not ready while the first one leads; when that one is killed, the queue goes on with the second."""
    with site(gpus=1) as it:
        config = (it.folder / "manager_config.py").read_text()
        port = free_port()
        second_config = it.folder / "second_config.py"
        second_config.write_text(config.replace(str(it.ports["manager"]), str(port)))
        second = Program(
            "second",
            [*it.manager.argv[:-1], str(second_config)],
            it.folder / "second.log",
            it.manager.env,
            cwd=it.folder,
        )
        second.start()
        try:
            url = f"http://127.0.0.1:{port}{PREFIX}health"
            until(lambda: _status(url) == 503, within=20, what="the second one stands by", story=second.tail)
            alice, bob = somebody(it), somebody(it)
            alice.start("gpu1")
            job = alice.job_is("running")
            bob.start("gpu1")
            bob.job_is("queued")

            it.manager.kill()

            until(lambda: _status(url) == 200, within=30, what="the second one leads", story=second.tail)
            fences = it.database("select fence from leader")
            second.stop()
            it.manager.start()
            it.wait()
            assert (alice.job() or {})["id"] == job["id"]
            assert (bob.job() or {})["state"] == "queued"
            assert it.database("select fence from leader")[0][0] > fences[0][0]
        finally:
            second.stop()


@pytest.mark.parametrize("hub_too", [False, True], ids=["manager", "manager-and-hub"])
def test_what_was_stopped_while_the_manager_was_away_did_not_fail(hub_too: bool) -> None:
    """Neither did the server fail, nor does the request that waited come back; also when the Hub dies meanwhile."""
    with site(gpus=1) as it:
        alice, bob = somebody(it), somebody(it)
        alice.start("gpu1")
        ran = alice.job_is("running")
        bob.start("gpu1")
        waited = bob.job_is("queued")

        it.manager.kill()
        for person in (alice, bob):
            assert person.stop().status_code in (202, 204)
        until(lambda: not any(p.server() for p in (alice, bob)), within=40, what="the Hub ended both", story=it.story)
        assert not it.processes()
        if hub_too:
            it.hub.kill()
            it.hub.start()
        it.manager.start()
        it.wait()

        for person, job, end in ((alice, ran, "stopped"), (bob, waited, "cancelled")):
            person.no_job(within=60)
            ended = person.queue("GET", f"jobs/{job['id']}").json()["job"]
            assert (ended["end"], ended["by"]) == (end, "JupyterHub"), it.story()
        time.sleep(3)
        assert not any(person.server() for person in (alice, bob)), "nothing was handed back"


def test_a_full_disk_refuses_new_requests_with_words_and_loses_none() -> None:
    """SQLite on a file system of one megabyte."""
    if os.geteuid():
        pytest.fail("mounting a small file system needs root")
    small = Path("/var/tmp/gpuqueue-small-disk")
    small.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        with site(gpus=1, manager_more=f'c.ManagerApp.db_url = "sqlite:///{small}/queue.sqlite"') as it:
            alice, bob = somebody(it), somebody(it)
            dana = Visitor(it, "dana").login()
            alice.start("gpu1")
            alice.job_is("running")
            bob.start("gpu1")
            waits = bob.job_is("queued")["id"]
            fill = subprocess.run(["dd", "if=/dev/zero", f"of={small}/filler"], capture_output=True, text=True)
            assert "No space left" in fill.stderr

            acts = itertools.cycle(("hold", "release"))  # there may be room for some: the journal's file is used again

            def refused() -> str:
                answer = dana.queue("POST", f"jobs/{waits}/{next(acts)}", body={"note": "n" * 900})
                return str(answer.json()["code"]) if answer.status_code == 503 else ""

            code = until(refused, within=60, what="a change is refused", story=it.story, every=0)
            assert code == "gpuqueue.unavailable"
            # A write that still finds room says that all is well, until the next one.
            until(lambda: refused() and "database" in str(health(it)["problem"]), within=60, what="it is told", every=0)
            (small / "filler").unlink()
            until(lambda: not health(it)["problem"], within=30, what="all is well", story=it.story)
            alice.job_is("running", within=60)
    finally:
        subprocess.run(["umount", "-l", small], check=False)
        small.rmdir()


def back_up(at: Site) -> Path:
    """A copy of the queue's database, made while it is in use."""
    copy = at.folder / "copy.sqlite"
    database = f"sqlite:///{at.folder}/gpuqueue.sqlite"
    command = [at.python, "-m", "gpuqueue_spawner.cli", "backup", str(copy), "--db", database]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **at.manager.env})
    assert done.returncode == 0, done.stderr
    return copy


def admin_page(at: Site, admin: Visitor) -> str:
    headers = {"Authorization": f"token {admin.token()}"}
    return requests.get(at.url + PREFIX + "admin", headers=headers, timeout=10).text


def restore(at: Site, copy: Path) -> None:
    """Go on with the copy; Hub and notebooks run on."""
    at.manager.stop()
    for leftover in at.folder.glob("gpuqueue.sqlite*"):
        leftover.unlink()
    shutil.copy(copy, at.folder / "gpuqueue.sqlite")
    at.manager.start()
    at.wait()


def test_a_restored_backup_takes_over_what_runs_and_ends_what_was_replaced() -> None:
    """Bob was starting and carol waited when the copy was made; both run since. Alice stopped hers and runs another.

    All of them run on, on the GPUs that they have, and each job of the copy comes to what is true.
    """
    mute = Path("/var/tmp") / f"gpuqueue-mood-{os.getpid()}"
    slow = f"""
def _slow(spawner):
    if spawner.user.name == "bob":
        spawner.cmd = [*spawner.cmd, "--mood={mute}"]
c.Spawner.pre_spawn_hook = _slow
"""
    mute.write_text("mute")
    mute.chmod(0o644)
    try:
        with site(gpus=4, hub_more=slow) as it:
            alice, bob, carol, dana = (Visitor(it, name).login() for name in ("alice", "bob", "carol", "dana"))
            alice.start("gpu2")
            old = alice.job_is("running")
            bob.start("gpu1")
            starts = bob.job_is("starting")
            carol.start("gpu3")
            waits = carol.job_is("queued")
            copy = back_up(it)
            mute.unlink()
            bob.job_is("running")
            alice.stop()
            alice.all_ended()
            alice.start("gpu0")
            alice.job_is("running")
            carol.job_is("running")
            given = {person.name: person.environment()["CUDA_VISIBLE_DEVICES"] for person in (bob, carol)}
            processes = set(it.processes())

            restore(it, copy)

            for person, job in ((bob, starts), (carol, waits)):
                now = person.job_is("running", within=120)
                assert now["id"] == job["id"]
                assert ",".join(device["id"] for device in now["placement"]["devices"]) == given[person.name]
                assert person.environment()["CUDA_VISIBLE_DEVICES"] == given[person.name], "the pid is its server's"
                assert now["ends"], "it has a lease again"
            alice.no_job(within=120)
            assert alice.queue("GET", f"jobs/{old['id']}").json()["job"]["end"] != "failed"
            assert processes <= set(it.processes()), f"something was ended\n{it.story()}"
            assert (alice.server() or {})["ready"]
            until(
                lambda: "1 running server unknown to this queue" in admin_page(it, dana), within=30, what="it is shown"
            )
            for person in (alice, bob, carol):
                assert person.stop().status_code in (202, 204)
                person.all_ended()
            until(lambda: not it.processes(), within=30, what="nothing runs any more", story=it.story)
    finally:
        mute.unlink(missing_ok=True)


def test_a_restored_backup_shows_what_it_does_not_know_and_gives_its_gpus_to_nobody() -> None:
    """A running server that the copy does not know is never ended, and its GPUs count as held."""
    with site(gpus=2) as it:
        alice, bob, dana = somebody(it), somebody(it), Visitor(it, "dana")
        copy = back_up(it)
        alice.start("gpu1")
        alice.job_is("running")
        pids = set(it.processes())

        restore(it, copy)

        bob.start("gpu2")
        bob.job_is("queued")
        time.sleep(3)
        assert (bob.job() or {})["state"] == "queued", "the unknown server's GPU was given away"
        assert pids <= set(it.processes()), "the unknown server was ended"
        assert "unknown to this queue" in admin_page(it, dana)
        it.hub_api("DELETE", f"/users/{alice.name}/server")
        bob.job_is("running", within=40)


def test_a_user_who_is_gone_while_waiting_leaves_the_queue_with_that_reason(own_site: Site, person: Person) -> None:
    """Renamed while the request waits: it goes on under the new name; after a restart nobody has the old one."""
    alice, bob = person(own_site), Visitor(own_site, "leaver").login()
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu1")
    job = bob.job_is("queued")
    renamed = own_site.hub_api("PATCH", "/users/leaver", json={"name": "joiner"})
    assert renamed.status_code == 200, renamed.text
    assert own_site.database("select state from jobs where id = ?", job["id"])[0][0] == "queued"

    own_site.hub.kill()
    own_site.hub.start()
    own_site.wait()

    until(
        lambda: own_site.database("select state from jobs where id = ?", job["id"])[0][0] == "ended",
        within=30,
        what="the job has ended",
        story=own_site.story,
    )
    end, message = own_site.database("select end_kind, message from jobs where id = ?", job["id"])[0]
    assert end == "rejected"
    assert "no such user" in message


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=2).status_code
    except requests.RequestException:
        return 0


def test_a_lease_warns_then_ends_and_the_next_one_starts() -> None:
    with site(gpus=1, manager_more="c.Policy.warning = 3.0") as it:
        alice, bob = somebody(it), somebody(it)
        alice.start("gpu1", hours=8 / 3600)
        job = alice.job_is("running")
        bob.start("gpu1")

        until(lambda: (alice.job() or {}).get("warned"), within=15, what="it is warned", story=it.story)
        alice.no_job(within=30)
        ended = alice.queue("GET", f"jobs/{job['id']}").json()["job"]
        assert ended["end"] == "expired"
        assert ended["ended"] - job["started"] >= 8
        bob.job_is("running")
        until(lambda: alice.server() is None, within=20, what="the Hub knows that it ended")


def test_a_lease_that_ends_while_the_manager_is_away_gets_its_warning_anew() -> None:
    with site(gpus=1, manager_more="c.Policy.warning = 6.0") as it:
        alice = somebody(it)
        alice.start("gpu1", hours=9 / 3600)
        job = alice.job_is("running")

        it.manager.kill()
        time.sleep(11)
        it.manager.start()
        it.wait()

        until(lambda: (alice.job() or {}).get("warned"), within=10, what="it is warned", story=it.story)
        again = alice.job() or {}
        assert again["ends"] >= again["warned"] + 5.9
        alice.no_job(within=30)
        ended = alice.queue("GET", f"jobs/{job['id']}").json()["job"]
        assert ended["ended"] >= again["ends"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("c.Policy.max_lease = -1", ("Policy.max_lease", "-1", "above 0")),
        ("c.Policy.max_leese = 1", ("c.Policy.max_leese", "max_lease")),
        ("c.Polcy.gpus = 1", ("c.Polcy", "Policy")),
        ("c.ManagerApp.port = 'http'", ("port", "http")),
        ("c.LocalCapacity.simulated_gpus = -2", ("simulated_gpus", "-2")),
    ],
)
def test_a_config_file_with_a_wrong_trait_is_refused_by_name(tmp_path: Path, line: str, named: tuple[str, ...]) -> None:
    """In one line, without a traceback, before anything is opened."""
    config = tmp_path / "config.py"
    config.write_text(line + "\n")

    done = start_manager(tmp_path, config)

    assert done.returncode != 0
    assert all(word in done.stderr for word in named), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "gpuqueue.sqlite").exists()


def test_a_config_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = start_manager(tmp_path, tmp_path / "nowhere.py")

    assert done.returncode != 0
    assert "nowhere.py" in done.stderr


def start_manager(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """A manager that is expected to end at once."""
    argv = [sys.executable, "-m", "gpuqueue_spawner.service", "-f", str(config), f"--ManagerApp.data_dir={folder}"]
    env = {**os.environ, "JUPYTERHUB_API_TOKEN": "x"}
    return subprocess.run([*argv, "--upgrade-db"], capture_output=True, text=True, timeout=30, env=env)

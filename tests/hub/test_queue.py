"""What people do, on a real Hub: start, wait, cancel, stop, restart, extend; on JupyterHub 6 and 5.5."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.services.program import until
from tests.services.site import Site, site
from tests.services.visitor import Visitor

Person = Callable[[Site], Visitor]


def test_a_free_gpu_is_given_at_once_and_the_notebook_sees_exactly_it(any_site: Site, person: Person) -> None:
    """The UUIDs of its GPUs, and no others, stand in the notebook's environment."""
    alice = person(any_site)

    alice.start("gpu3")

    devices = alice.job_is("running")["placement"]["devices"]
    environment = alice.environment()
    assert len(devices) == 3
    assert environment["CUDA_VISIBLE_DEVICES"] == ",".join(device["id"] for device in devices)
    assert environment["NVIDIA_VISIBLE_DEVICES"] == environment["CUDA_VISIBLE_DEVICES"]
    assert "unhandled user_options" not in any_site.hub.log.read_text(), "the Hub has nothing to warn of"


def test_no_gpu_means_none_visible(any_site: Site, person: Person) -> None:
    alice = person(any_site)

    alice.start("gpu0")

    alice.job_is("running")
    assert alice.environment()["CUDA_VISIBLE_DEVICES"] == ""
    assert alice.environment()["NVIDIA_VISIBLE_DEVICES"] == ""


def test_who_finds_no_free_gpu_waits_with_place_reason_and_estimate_and_starts_when_one_is_free(
    any_site: Site, person: Person
) -> None:
    alice, bob, carol = (person(any_site) for _ in range(3))
    alice.start("gpu3")
    alice.job_is("running")

    bob.start("gpu2")
    bob.job_is("queued")  # the order of the queue is the order in which it accepts
    carol.start("gpu1")

    until(lambda: (carol.job() or {}).get("place") == 2, within=10, what="a plan placed carol")
    waiting = bob.job() or {}
    behind = carol.job() or {}
    assert (waiting["place"], waiting["of"], waiting["reason"]["code"]) == (1, 2, "resources")
    assert (behind["place"], behind["reason"]["code"]) == (2, "order"), "a later small request passes nobody"
    ends = (alice.job() or {})["ends"]
    assert waiting["start"] == pytest.approx(ends, abs=5)
    alice.stop()
    bob.job_is("running")
    carol.job_is("running")


def test_cancelling_a_wait_by_the_hub_ends_the_job(any_site: Site, person: Person) -> None:
    """The Hub's own button and API."""
    alice, bob = person(any_site), person(any_site)
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu1")
    job = bob.job_is("queued")

    assert bob.stop().status_code in (202, 204)

    bob.no_job()
    assert bob.queue("GET", f"jobs/{job['id']}").json()["job"]["end"] == "cancelled"
    until(lambda: bob.server() is None, within=15, what="the Hub knows of no server")


def test_cancelling_a_wait_in_the_queue_ends_the_start_in_the_hub(any_site: Site, person: Person) -> None:
    alice, bob = person(any_site), person(any_site)
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu1")
    job = bob.job_is("queued")

    assert bob.queue("POST", f"jobs/{job['id']}/cancel", body={"note": "not needed"}).status_code == 200

    until(lambda: bob.server() is None, within=15, what="the Hub knows of no server")
    assert bob.queue("GET", f"jobs/{job['id']}").json()["job"]["message"] == "not needed"


def test_named_servers_wait_and_are_cancelled_one_by_one(any_site: Site, person: Person) -> None:
    alice, bob = person(any_site), person(any_site)
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu1", server="one")
    bob.start("gpu1", server="two")
    bob.job_is("queued", server="one")
    bob.job_is("queued", server="two")

    bob.stop(server="one")

    bob.no_job(server="one")
    assert bob.job(server="two") is not None


def test_a_restart_keeps_the_gpus_and_the_lease(any_site: Site, person: Person) -> None:
    """Somebody who waits does not get them meanwhile."""
    alice, bob = person(any_site), person(any_site)
    alice.start("gpu3")
    before = alice.job_is("running")
    bob.start("gpu2")
    bob.job_is("queued")

    assert alice.queue("POST", f"jobs/{before['id']}/restart", body={}).status_code == 200

    until(lambda: (alice.job() or {}).get("launch") == 2, within=40, what="launched anew", story=any_site.story)
    after = alice.job_is("running")
    assert (after["id"], after["placement"], after["ends"]) == (before["id"], before["placement"], before["ends"])
    until(lambda: (alice.server() or {}).get("ready"), within=20, what="the Hub has it ready")
    assert (bob.job() or {})["state"] == "queued"


def test_a_notebook_that_ends_by_itself_gives_its_gpus_back(any_site: Site, person: Person) -> None:
    alice = person(any_site)
    alice.start("gpu1")
    job = alice.job_is("running")

    pid = any_site.database("select pid from jobs where id = ?", job["id"])[0][0]
    os.kill(pid, 9)

    alice.no_job(within=15)
    ended = alice.queue("GET", f"jobs/{job['id']}").json()["job"]
    assert (ended["end"], ended["message"]) == ("failed", "The notebook was ended by signal 9 (SIGKILL).")


def test_a_notebook_that_was_shut_down_from_within_is_finished(any_site: Site, person: Person) -> None:
    """Its server ended by itself, with status 0; the Hub knows it at once, and a new one may be started."""
    alice = person(any_site)
    alice.start("gpu4")
    job = alice.job_is("running")

    shut_down(alice)

    alice.no_job(within=30)
    ended = alice.queue("GET", f"jobs/{job['id']}").json()["job"]
    assert (ended["end"], ended["message"], ended["by"]) == ("completed", "It was shut down from within.", "")
    until(lambda: alice.server() is None, within=30, what="the Hub knows of no server")
    alice.start("gpu4")
    assert alice.job_is("running")["id"] > job["id"]


def test_whose_end_nobody_saw_is_told_so_and_not_called_failed(own_site: Site, person: Person) -> None:
    """A Hub that was restarted is not the parent of what runs, and learns no status."""
    alice = person(own_site)
    alice.start("gpu1")
    job = alice.job_is("running")
    own_site.hub.kill()
    own_site.hub.start()
    own_site.wait()

    shut_down(alice)

    alice.no_job(within=60)
    ended = alice.queue("GET", f"jobs/{job['id']}").json()["job"]
    assert ended["end"] == "completed"
    assert "with what status is not known" in ended["message"]


def test_shut_down_in_a_real_notebook_server_is_no_failure() -> None:
    """File > Shut Down of JupyterLab asks the server for it, which then ends with status 0."""
    command = f'c.Spawner.cmd = ["{Path(sys.executable).parent}/jupyterhub-singleuser"]'
    with site(gpus=1, hub_more=f"{command}\nc.QueueingMixin.launch_timeout = 120") as it:
        alice = Visitor(it, "alice").login()
        alice.start("gpu1")
        job = alice.job_is("running", within=120)
        until(lambda: (alice.server() or {}).get("ready"), within=60, what="the proxy knows it", story=it.story)

        headers = {"Authorization": f"token {alice.token()}"}
        answer = requests.post(f"{it.url}/user/alice/api/shutdown", headers=headers, timeout=30)

        assert answer.ok, answer.text
        alice.no_job(within=60)
        assert alice.queue("GET", f"jobs/{job['id']}").json()["job"]["end"] == "completed"


def shut_down(person: Visitor) -> None:
    """The small notebook ends itself, and answers nothing any more."""
    url = person.environment()["JUPYTERHUB_SERVICE_URL"]
    with contextlib.suppress(requests.ConnectionError):
        requests.get(f"{url}exit", timeout=10)


def test_the_waiting_page_gets_its_data_from_the_hub(any_site: Site, person: Person) -> None:
    """Place and reason travel in the Hub's own progress stream, which never tells the same twice."""
    alice, bob = person(any_site), person(any_site)
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu2", job_name="churn <b>model</b>")
    bob.job_is("queued")

    told = next(event for event in bob.progress() if event.get("place"))

    assert (told["place"], told["of"], told["code"]) == (1, 1, "resources")
    assert "html_message" not in told
    assert [each["gpus"] for each in told["releases"]] == [4], "when GPUs come free, and not whose"
    assert all(each.keys() == {"at", "gpus"} for each in told["releases"])


def test_a_killed_hub_is_handed_every_wait_back_in_its_place(any_site: Site, person: Person) -> None:
    """The Hub forgot the start; the queue asks it to start the same request again, and the place is the old one."""
    alice, bob = person(any_site), person(any_site)
    alice.start("gpu4")
    alice.job_is("running")
    bob.start("gpu1")
    first = bob.job_is("queued")

    any_site.hub.kill()
    any_site.hub.start()
    any_site.wait()
    bob.job_is("queued")

    until(lambda: (bob.server() or {}).get("pending") == "spawn", within=30, what="posted again")
    again = bob.job() or {}
    assert (again["id"], again["queued"]) == (first["id"], first["queued"])


@pytest.mark.parametrize(
    "profile",
    ["gpu99", "", "gpu1\n", "9999\n", "<b>", "x" * 300],
    ids=["unknown", "empty", "line", "digits", "html", "long"],
)
def test_a_profile_that_does_not_exist_is_refused_with_words(own_site: Site, person: Person, profile: str) -> None:
    """Nothing of it reaches the queue."""
    alice = person(own_site)

    answer = alice.hub("POST", f"/hub/api/users/{alice.name}/server", json={"profile": profile or "?"})

    assert answer.status_code in (202, 400)
    until(lambda: alice.server() is None, within=10, what="the Hub gave up")
    assert alice.job() is None

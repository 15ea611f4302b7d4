"""What a real JupyterHub does with a spawner that waits in a queue. One Hub for all; each test has users of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from gpuqueue_spawner.spawner.form import ENTERED, EXACT
from gpuqueue_spawner.spawner.processes import started

from .fake_manager import FakeManager
from .hubs import Hub

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_held_spawn_is_admitted_and_sees_its_gpus(hub: Hub, manager: FakeManager):
    """The request waits, shows its place, is launched when admitted, with its GPUs and without the Hub's secrets."""
    response = await hub.spawn("alice", {"profile": "one", "hours": 2, "job_name": "first try"})
    events = _collect(hub, "alice")
    job = await manager.job(user="alice", state="queued")
    await manager.wait_for(lambda: manager.holds == [job["key"]])
    manager.change(job["id"], place=1, of=6)
    await asyncio.sleep(0.2)
    manager.admit(job["id"])
    await hub.until(lambda: hub.ready("alice"))

    assert response.code == 202
    assert job["resources"] == {"cpus": 2.0, "memory": 4 << 30, "gpus": {"nvidia.com/gpu": 1}}
    assert (job["lease"], job["name"], job["profile"]) == (7200, "first try", "One GPU")
    assert job["state"] == "running"
    seen = await events
    assert [event["place"] for event in seen if event.get("state") == "queued"] == [3, 1]
    assert sorted(event["progress"] for event in seen) == [event["progress"] for event in seen]
    assert "You are 3rd of 7 in the queue. Waits for 2 free GPUs" in next(e["message"] for e in seen if "place" in e)
    assert seen[-1]["ready"]
    await manager.wait_for(lambda: manager.holds == [])
    tiny = await _ask_notebook(hub, "alice")
    assert tiny["env"]["CUDA_VISIBLE_DEVICES"] == tiny["env"]["NVIDIA_VISIBLE_DEVICES"] == "GPU-1,GPU-2"
    assert tiny["env"]["GPUQUEUE_JOB"] == f"test/{job['key']}/1"
    assert "JUPYTERHUB_CRYPT_KEY" not in tiny["env"]
    assert tiny["cwd"] == tiny["env"]["HOME"] == str(hub.homes / "alice")
    if os.geteuid() == 0:
        assert (tiny["uid"], tiny["gid"], tiny["groups"]) == (200_000, 200_000, [])
    assert tiny["pid"] == manager.claims[0]["pid"]
    token = tiny["env"]["JUPYTERHUB_API_TOKEN"]
    assert token.encode() not in Path(f"/proc/{tiny['pid']}/cmdline").read_bytes()

    await hub.ask("/users/alice/server", method="DELETE")

    assert manager.stops == [job["id"]]
    await manager.wait_for(lambda: _gone(tiny["pid"]))
    assert "Against the queue" not in hub.log


async def test_a_refused_launch_runs_nothing_and_the_job_goes_back(hub: Hub, manager: FakeManager):
    """The wrapper ends when its claim is refused, the failure is reported, the same job is launched later."""
    manager.refuse_claims = True
    claimed = len(manager.claims)

    await hub.spawn("bob")
    job = await manager.job(user="bob")
    manager.admit(job["id"])
    await manager.wait_for(lambda: manager.failures)

    assert manager.failures == ["this launch is no longer wanted (a later launch was permitted)"]
    assert len(manager.claims) == claimed
    manager.refuse_claims = False
    manager.admit(job["id"])
    await hub.until(lambda: hub.ready("bob"))
    tiny = await _ask_notebook(hub, "bob")
    assert tiny["env"]["JUPYTERHUB_API_TOKEN"]
    assert tiny["env"]["GPUQUEUE_JOB"] == f"test/{job['key']}/2"
    await hub.ask("/users/bob/server", method="DELETE")


async def test_a_notebook_that_dies_or_stays_mute_gives_its_gpus_back(hub: Hub, manager: FakeManager):
    """A launch that fails is reported with its reason; cancelling while one runs ends its process."""
    manager.failures.clear()
    claimed = len(manager.claims)

    await hub.spawn("dies")
    manager.admit((await manager.job(user="dies"))["id"])
    await manager.wait_for(lambda: manager.failures)
    assert manager.failures == ["the notebook ended with status 7 before it answered"]
    await hub.ask("/users/dies/server", method="DELETE")

    await hub.spawn("mute")
    job = await manager.job(user="mute")
    manager.admit(job["id"])
    await manager.wait_for(lambda: len(manager.failures) == 2)
    assert manager.failures[1] == "the notebook did not answer within 3 s"
    assert _gone(manager.claims[claimed + 1]["pid"])

    manager.admit(job["id"])
    await manager.wait_for(lambda: len(manager.claims) == claimed + 3)
    await hub.ask("/users/mute/server", method="DELETE")
    assert manager.stops[-1] == job["id"]
    await manager.wait_for(lambda: _gone(manager.claims[-1]["pid"]))


async def test_the_manager_away_loses_nothing_and_an_end_is_worded(hub: Hub, manager: FakeManager):
    """Requests made while the queue is away are handed over later; pages say so; an admin's cancel reaches the page."""
    stops = len(manager.stops)
    await manager.close()

    await hub.spawn("carol")
    events = _collect(hub, "carol")
    await asyncio.sleep(0.5)
    await manager.open()
    job = await manager.job(user="carol")
    await manager.wait_for(lambda: manager.holds == [job["key"]])
    await manager.close()
    await asyncio.sleep(3.5)
    await manager.open()
    await manager.wait_for(lambda: manager.holds == [job["key"]])
    await asyncio.sleep(0.2)
    manager.change(job["id"], state="ended", end="cancelled", message="maintenance <b>today</b>")

    seen = await events
    messages = [event["message"] for event in seen]
    assert "The queue does not answer right now; trying again." in messages
    assert "The queue does not answer right now; your place is kept." in messages
    assert messages[-1] == "Spawn failed: This request was cancelled: maintenance <b>today</b>."
    assert seen[-1]["failed"]
    assert len([view for view in manager.jobs.values() if view["user"] == "carol"]) == 1
    assert len(manager.stops) == stops


@pytest.mark.parametrize(
    ("user", "options", "refusal", "words"),
    [
        ("erin", {"profile": "none"}, None, "profile is 'none'; allowed is one of one."),
        ("frank", {}, (400, {"code": "gpuqueue.limit.queued", "message": "You have 3 of 3."}), "You have 3 of 3."),
    ],
)
async def test_a_refusal_reaches_the_page_in_words(
    hub: Hub, manager: FakeManager, user: str, options: Any, refusal: Any, words: str
):
    """Ours or the queue's, without a status and without a traceback in the log."""
    manager.refuse = refusal

    await hub.spawn(user, options)
    failed = await _collect(hub, user)

    manager.refuse = None
    assert failed[-1]["message"] == f"Spawn failed: {words}"
    assert f"Unhandled error starting {user}" not in hub.log


async def test_the_form_is_printed_checked_and_keeps_named_servers_apart(hub: Hub, manager: FakeManager):
    """A person logs in, sees the waits, is told what is wrong, and starts a named server."""
    manager.waits = {"one": {"kind": "wait", "start": 1, "words": "about 40 min"}}
    browser = Browser(hub)
    await browser.log_in("dave")

    page = await browser.get("/hub/spawn/dave/second")
    wrong = await browser.post("/hub/spawn/dave/second", profile="one", hours="99")
    await browser.post("/hub/spawn/dave/second", profile="one", hours="3", job_name="by form")

    assert "about 40 min" in page
    asked = next(form for form in manager.forms if form["server"] == "second")
    assert asked["choices"][0]["resources"]["gpus"] == {"nvidia.com/gpu": 1}
    assert "allowed is a number of hours from 0.001, at most 24." in wrong
    job = await manager.job(user="dave", server="second")
    assert (job["name"], job["lease"]) == ("by form", 3 * 3600)
    await hub.ask("/users/dave/servers/second", method="DELETE", body=None)
    assert manager.stops[-1] == job["id"]


async def test_an_open_form_asks_for_what_is_entered_and_starts_nothing(hub: Hub, manager: FakeManager):
    """In a header: an argument in the address would make the Hub start the server."""
    manager.waits = {EXACT: {"kind": "wait", "start": 1, "words": "about 50 min"}}
    browser = Browser(hub)
    await browser.log_in("henry")
    posts = len(manager.posts)

    page = await browser.get("/hub/spawn/henry/third", **{ENTERED: "profile=one&hours=2"})

    assert "about 50 min" in page
    assert 'data-entered="profile=one&amp;hours=2"' in page
    asked = next(form for form in manager.forms if form["server"] == "third")
    exact = next(choice for choice in asked["choices"] if choice["key"] == EXACT)
    assert (exact["resources"]["gpus"], exact["lease"]) == ({"nvidia.com/gpu": 1}, 2 * 3600)
    assert len(manager.posts) == posts


async def test_the_manager_may_do_what_it_must_and_nothing_else(hub: Hub, manager: FakeManager):
    """The service's token reads and starts servers; users may open the service; an admin of the queue has its scope."""
    users = await hub.ask("/users", token="manager-token")
    started_one = await hub.ask("/users/root/server", method="POST", token="manager-token")
    made = await hub.ask("/users/nobody", method="POST", token="manager-token")
    token = await hub.ask("/users/root/tokens", method="POST", body={})
    assert None not in (users, started_one, made, token)

    assert (users.code, started_one.code, made.code) == (200, 202, 403)
    job = await manager.job(user="root")
    ended = await hub.ask("/users/root/server", method="DELETE", token="manager-token")
    assert ended is not None
    assert (ended.code, manager.stops[-1]) == (204, job["id"])
    root = await hub.ask("/user", token=json.loads(token.body)["token"])
    assert root is not None
    scopes = json.loads(root.body)["scopes"]
    assert {"custom:gpuqueue:admin", "custom:gpuqueue:operate", "access:services!service=gpuqueue"} <= {*scopes}


async def test_delete_withdraws_and_an_orderly_end_of_the_hub_does_not(hub: Hub, manager: FakeManager):
    """A cancel reaches the queue; a SIGTERM of the Hub leaves the job, and the next Hub attaches to it."""
    await hub.spawn("gina")
    await hub.spawn("henry")
    gina, henry = await manager.job(user="gina"), await manager.job(user="henry")
    stops = len(manager.stops)

    response = await hub.ask("/users/gina/server", method="DELETE")

    assert response is not None
    assert response.code == 204
    assert (gina["state"], gina["end"]) == ("ended", "cancelled")
    assert manager.stops[stops:] == [gina["id"]]

    await hub.kill(signal.SIGTERM)

    assert manager.stops[stops:] == [gina["id"]]
    assert henry["state"] == "queued"

    hellos = len(manager.hellos)
    await hub.start()
    await manager.wait_for(lambda: len(manager.hellos) > hellos)
    await hub.spawn("henry")
    await manager.wait_for(lambda: manager.holds == [henry["key"]])

    assert manager.hellos[0]["instance"] != manager.hellos[-1]["instance"]
    assert len([view for view in manager.jobs.values() if view["user"] == "henry"]) == 1
    manager.admit(henry["id"])
    await hub.until(lambda: hub.ready("henry"))

    await hub.kill(signal.SIGKILL)
    await hub.start()
    await hub.until(lambda: hub.ready("henry"))

    await hub.ask("/users/henry/server", method="DELETE")
    assert manager.stops[stops:] == [gina["id"], henry["id"]]
    assert _gone(manager.claims[-1]["pid"])


async def test_how_a_server_ended_is_told_by_its_parent_and_by_nobody_else(hub: Hub, manager: FakeManager):
    """A Hub process that did not start it knows that it ended, and not how."""
    for user, restart, expected in (("iris", False, 0), ("jack", False, -9), ("kate", True, None)):
        await hub.spawn(user)
        job = await manager.job(user=user)
        manager.admit(job["id"])
        await hub.until(partial(hub.ready, user))
        if restart:
            await hub.kill(signal.SIGTERM)
            await hub.start()
            await hub.until(partial(hub.ready, user))

        if expected == 0:
            await _shut_down(hub, user)
        else:
            os.kill(manager.claims[-1]["pid"], signal.SIGKILL)
        await manager.wait_for(partial(_gone, manager.claims[-1]["pid"]))
        await hub.ask(f"/users/{user}/server", method="DELETE")

        assert (job["id"], expected) in manager.exits
        assert job["id"] not in manager.stops


async def test_a_stop_that_the_queue_did_not_hear_is_told_by_the_next_hub_before_it_says_anything(
    hub: Hub, manager: FakeManager
):
    """Of a server that ran and of a request that waited: what was stopped neither failed nor comes back."""
    for user in ("lena", "mike"):
        await hub.spawn(user)
    runs, waits = await manager.job(user="lena"), await manager.job(user="mike")
    manager.admit(runs["id"])
    await hub.until(lambda: hub.ready("lena"))
    await manager.close()

    for user in ("lena", "mike"):
        response = await hub.ask(f"/users/{user}/server", method="DELETE")
        assert response is not None
        assert response.code in (202, 204)
    await hub.until(lambda: _no_server(hub, "mike"))
    await hub.kill(signal.SIGKILL)
    hellos = len(manager.hellos)
    await manager.open()
    await hub.start()

    await manager.wait_for(lambda: len(manager.hellos) > hellos)
    assert {(runs["id"], "stopped"), (waits["id"], "cancelled")} <= {
        (job["id"], job.get("end")) for job in manager.jobs.values()
    }
    assert manager.hellos[hellos]["holds"] == []


class Browser:
    """Cookies and forms, as far as the Hub's own pages need them."""

    def __init__(self, hub: Hub) -> None:
        self.base = f"http://127.0.0.1:{hub.port}"
        self.cookies: dict[str, str] = {}

    async def log_in(self, user: str) -> None:
        await self.get("/hub/login")
        await self.post("/hub/login", username=user, password="x")

    async def get(self, path: str, **headers: str) -> str:
        return await self._ask(path, headers)

    async def _ask(self, path: str, headers: dict[str, str], **options: Any) -> str:
        for _ in range(5):
            response = await AsyncHTTPClient().fetch(
                f"{self.base}{path}",
                headers={**headers, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())},
                follow_redirects=False,
                raise_error=False,
                **options,
            )
            for cookie in response.headers.get_list("Set-Cookie"):
                name, value = cookie.split(";")[0].split("=", 1)
                self.cookies[name] = value
            if response.code not in (301, 302):
                break
            path, options = re.sub(r"^https?://[^/]+", "", response.headers["Location"]), {}
        return response.body.decode()

    async def post(self, path: str, **fields: str) -> str:
        body = urlencode({**fields, "_xsrf": self.cookies.get("_xsrf", "")})
        return await self._ask(path, {}, method="POST", body=body)


def _gone(pid: int) -> bool:
    """Whether a process has ended; its exit status may still wait for a parent that does not ask."""
    return started(pid) is None


def _collect(hub: Hub, user: str) -> asyncio.Task[list[dict[str, Any]]]:
    async def collect() -> list[dict[str, Any]]:
        return [event async for event in hub.events(user)]

    return asyncio.create_task(collect())


async def _no_server(hub: Hub, user: str) -> bool:
    return bool((await hub.server(user) or {}).get("stopped", True))


async def _shut_down(hub: Hub, user: str) -> None:
    """From within: it answers nothing any more."""
    with suppress(HTTPClientError, OSError):
        await AsyncHTTPClient().fetch(f"{await _address(hub, user)}exit")


async def _ask_notebook(hub: Hub, user: str) -> dict[str, Any]:
    response = await AsyncHTTPClient().fetch(f"{await _address(hub, user)}env")
    document: dict[str, Any] = json.loads(response.body)
    return document


async def _address(hub: Hub, user: str) -> str:
    state = (await hub.server(user) or {})["state"]
    # The Hub has no proxy here: the notebook's address is read off the process itself.
    environment = Path(f"/proc/{state['pid']}/environ").read_bytes().split(b"\0")
    return next(e for e in environment if e.startswith(b"JUPYTERHUB_SERVICE_URL=")).split(b"=", 1)[1].decode()

"""What a real JupyterHub does with a spawner that waits in a queue."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient

from gpuqueue_spawner.spawner.local import started

from .fake_manager import FakeManager
from .hubs import Hub


async def test_a_held_spawn_is_admitted_and_sees_its_gpus(hub: Hub, manager: FakeManager):
    """The request waits, shows its place, is launched when admitted, with its GPUs and without the Hub's secrets."""
    await hub.start()

    response = await hub.spawn("alice", {"profile": "one", "hours": 2, "job_name": "first try"})
    events = _collect(hub, "alice")
    job = await manager.job(state="queued")
    await manager.wait_for(lambda: manager.holds == [job["id"]])
    manager.change(job["id"], place=1, of=6)
    await asyncio.sleep(0.2)
    manager.admit(job["id"])
    await hub.until(lambda: hub.ready("alice"))

    assert response.code == 202
    assert job["resources"] == {"cpus": 2.0, "memory": 4 << 30, "gpus": {"nvidia.com/gpu": 1}}
    assert (job["lease"], job["name"], job["profile"]) == (7200, "first try", "One GPU")
    assert job["state"] == "running"
    seen = await events
    places = [event["place"] for event in seen if event.get("state") == "queued"]
    assert places == [3, 1]
    numbers = [event["progress"] for event in seen]
    assert sorted(numbers) == numbers
    assert "You are 3rd of 7 in the queue. Waits for 2 free GPUs" in next(e["message"] for e in seen if "place" in e)
    assert seen[-1]["ready"]
    await manager.wait_for(lambda: manager.holds == [])
    tiny = await _ask_notebook(hub, "alice")
    assert "GPU-1,GPU-2" == tiny["env"]["CUDA_VISIBLE_DEVICES"] == tiny["env"]["NVIDIA_VISIBLE_DEVICES"]
    assert f"test/{job['key']}/1" == tiny["env"]["GPUQUEUE_JOB"]
    assert "JUPYTERHUB_CRYPT_KEY" not in tiny["env"]
    assert tiny["umask"] == 0o077
    assert str(hub.homes / "alice") == tiny["cwd"] == tiny["env"]["HOME"]
    if os.geteuid() == 0:
        assert (tiny["uid"], tiny["gid"], tiny["groups"]) == (200_000, 200_000, [])
        assert (hub.homes / "alice").stat().st_mode == 0o40700
    assert tiny["pid"] == manager.claims[0]["pid"]
    token = tiny["env"]["JUPYTERHUB_API_TOKEN"]
    assert token.encode() not in Path(f"/proc/{tiny['pid']}/cmdline").read_bytes()

    await hub.ask("/users/alice/server", method="DELETE")

    assert [job["id"]] == manager.stops
    await manager.wait_for(lambda: gone(tiny["pid"]))


async def test_delete_withdraws_and_an_orderly_end_of_the_hub_does_not(hub: Hub, manager: FakeManager):
    """A cancel reaches the queue; a SIGTERM of the Hub leaves the job, and the next Hub attaches to it."""
    await hub.start()
    await hub.spawn("alice")
    await hub.spawn("bob")
    await manager.wait_for(lambda: len(manager.jobs) == 2)

    response = await hub.ask("/users/alice/server", method="DELETE")

    assert response is not None
    assert response.code == 204
    alice, bob = manager.jobs.values()
    assert (alice["state"], alice["end"]) == ("ended", "cancelled")
    assert [alice["id"]] == manager.stops

    await hub.kill(signal.SIGTERM)

    assert [alice["id"]] == manager.stops
    assert bob["state"] == "queued"

    await hub.start()
    await manager.wait_for(lambda: manager.holds == [])
    await hub.spawn("bob")
    await manager.wait_for(lambda: manager.holds == [bob["id"]])

    assert manager.hellos[0]["instance"] != manager.hellos[-1]["instance"]
    assert len(manager.jobs) == 2
    manager.admit(bob["id"])
    await hub.until(lambda: hub.ready("bob"))

    await hub.kill(signal.SIGKILL)
    await hub.start()
    await hub.until(lambda: hub.ready("bob"))

    await hub.ask("/users/bob/server", method="DELETE")
    assert [alice["id"], bob["id"]] == manager.stops
    assert gone(manager.claims[0]["pid"])


async def test_a_refused_launch_runs_nothing_and_the_job_goes_back(hub: Hub, manager: FakeManager):
    """The wrapper ends when its claim is refused, the failure is reported, the same job is launched later."""
    manager.refuse_claims = manager.admit_at_once = True
    await hub.start()

    await hub.spawn("alice")
    await manager.wait_for(lambda: manager.failures)

    assert manager.failures == ["this launch is no longer wanted (a later launch was permitted)"]
    (job,) = manager.jobs.values()
    assert manager.claims == []
    manager.refuse_claims = False
    await manager.job(state="queued")
    manager.admit(job["id"])
    await hub.until(lambda: hub.ready("alice"))
    tiny = await _ask_notebook(hub, "alice")
    assert tiny["env"]["JUPYTERHUB_API_TOKEN"]
    assert f"test/{job['key']}/2" == tiny["env"]["GPUQUEUE_JOB"]


async def test_the_manager_away_loses_nothing_and_an_end_is_worded(hub: Hub, manager: FakeManager):
    """Requests made while the queue is away are handed over later; pages say so; an admin's cancel reaches the page."""
    await hub.start()
    await manager.close()

    await hub.spawn("alice")
    events = _collect(hub, "alice")
    await asyncio.sleep(0.5)
    await manager.open()
    job = await manager.job(user="alice")
    await manager.wait_for(lambda: manager.holds == [job["id"]])
    await manager.close()
    await asyncio.sleep(3.5)
    await manager.open()
    await manager.wait_for(lambda: manager.holds == [job["id"]])
    await asyncio.sleep(0.2)
    manager.change(job["id"], state="ended", end="cancelled", message="maintenance <b>today</b>")

    seen = await events
    messages = [event["message"] for event in seen]
    assert "The queue does not answer right now; trying again." in messages
    assert "The queue does not answer right now; your place is kept." in messages
    assert messages[-1] == "Spawn failed: This request was cancelled: maintenance <b>today</b>"
    assert seen[-1]["failed"]
    assert len(manager.jobs) == 1
    assert manager.stops == []

    await hub.spawn("bob", {"profile": "none"})
    failed = await _collect(hub, "bob")
    assert failed[-1]["message"] == "Spawn failed: profile is 'none'; allowed is one of one."
    assert len(manager.jobs) == 1


async def test_a_notebook_that_dies_or_stays_mute_gives_its_gpus_back(hub: Hub, manager: FakeManager):
    """A launch that fails is reported with its reason; cancelling while one runs ends its process."""
    hub.command.append("--dies")
    hub.extra = "c.QueueingMixin.launch_timeout = 5"
    manager.admit_at_once = True
    await hub.start()
    await hub.spawn("alice")
    await manager.wait_for(lambda: manager.failures)
    assert manager.failures == ["the notebook ended with status 7 before it answered"]

    await hub.kill()
    hub.command[-1] = "--mute"
    await hub.start()
    await hub.spawn("bob")
    bob = await manager.job(user="bob", state="starting")
    await manager.wait_for(lambda: len(manager.claims) == 2)
    mute = manager.claims[1]["pid"]
    await manager.wait_for(lambda: len(manager.failures) == 2)
    assert manager.failures[1] == "the notebook did not answer within 5 s"
    assert gone(mute)

    manager.admit(bob["id"])
    await manager.wait_for(lambda: len(manager.claims) == 3)
    await hub.ask("/users/bob/server", method="DELETE")
    assert [bob["id"]] == manager.stops
    await manager.wait_for(lambda: gone(manager.claims[2]["pid"]))


def gone(pid: int) -> bool:
    """Whether a process has ended; its exit status may still wait for a parent that does not ask."""
    return started(pid) is None


def _collect(hub: Hub, user: str) -> asyncio.Task[list[dict[str, Any]]]:
    async def collect() -> list[dict[str, Any]]:
        return [event async for event in hub.events(user)]

    return asyncio.create_task(collect())


async def _ask_notebook(hub: Hub, user: str) -> dict[str, Any]:
    state = (await hub.server(user) or {})["state"]
    # The Hub without a proxy: the notebook's port is read off the process itself.
    environment = Path(f"/proc/{state['pid']}/environ").read_bytes().split(b"\0")
    url = next(e for e in environment if e.startswith(b"JUPYTERHUB_SERVICE_URL=")).split(b"=", 1)[1].decode()
    response = await AsyncHTTPClient().fetch(f"{url}env")
    document: dict[str, Any] = json.loads(response.body)
    return document

"""A person's claim: a name that is nobody else's, and what becomes of the claim that there is. No cluster."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

from gpuqueue_spawner.spawner.claims import State, bind, claim_manifest, claim_name, state_of
from gpuqueue_spawner.spawner.errors import LaunchFailed
from gpuqueue_spawner.spawner.users import folder_name
from tests.unit.objects_server import ObjectsServer, objects_server

CLAIMS = "namespaces/notebooks/persistentvolumeclaims"
WANTED = claim_manifest("home-ada", volume="v", labels={"hub.jupyter.org/username": "ada"})
NAMES = st.text(st.sampled_from("aA.-_1ä%/@"), min_size=1, max_size=80) | st.text(min_size=1)


@given(one=NAMES, other=NAMES)
@example(one="Ada", other="ada")
@example(one="a.b", other="a-b")
@example(one="a" * 300, other="a" * 301)
def test_two_people_never_meet_in_a_claim(one: str, other: str) -> None:
    names = [claim_name(folder_name(each)) for each in (one, other)]

    assert (names[0] == names[1]) == (one == other)
    for each in names:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])", each)


def test_a_name_can_be_read() -> None:
    assert claim_name("ada").startswith("home-ada-")
    assert claim_name("%2F").startswith("home-2f-")
    assert re.fullmatch("home-[0-9a-f]{16}", claim_name("__"))


def claim(phase: str, volume: str = "v", **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "home-ada", "uid": "u", **metadata},
        "spec": {"volumeName": volume},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (claim("Bound"), State.READY),
        (claim("Pending"), State.WAITS),
        (claim(""), State.WAITS),
        (claim("Pending", volume="v.old"), State.STALE),
        (claim("Pending", volume=""), State.STALE),
        (claim("Lost"), State.STALE),
        (claim("Bound", volume="w"), State.OTHER),
        (claim("Bound", deletionTimestamp="2026-01-01T00:00:00Z"), State.ENDS),
        (claim("Lost", deletionTimestamp="2026-01-01T00:00:00Z"), State.ENDS),
    ],
)
def test_what_a_claim_is_good_for(found: dict[str, Any], state: State) -> None:
    assert state_of(found, volume="v") is state


@pytest.fixture
async def server() -> AsyncIterator[ObjectsServer]:
    async with objects_server(CLAIMS) as it:
        yield it


@pytest.fixture
async def api(server: ObjectsServer) -> AsyncIterator[CoreV1Api]:
    async with ApiClient(Configuration(host=server.url)) as it:
        yield CoreV1Api(it)


async def binder(server: ObjectsServer) -> None:
    """What the cluster does: a claim of the volume is bound to it."""
    while True:
        for each in server.there(CLAIMS).values():
            if each["spec"]["volumeName"] == "v" and "status" not in each:
                each["status"] = {"phase": "Bound"}
        await asyncio.sleep(0.05)


async def bound(api: CoreV1Api, server: ObjectsServer) -> dict[str, Any]:
    """The claim, once it is bound."""
    cluster = asyncio.ensure_future(binder(server))
    try:
        await bind(api, "notebooks", WANTED, within=10)
    finally:
        cluster.cancel()
    return server.there(CLAIMS)["home-ada"]


async def test_a_claim_is_made_and_waited_for(api: CoreV1Api, server: ObjectsServer) -> None:
    made = await bound(api, server)

    assert made["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": "v",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    assert made["metadata"]["labels"] == {"hub.jupyter.org/username": "ada"}


async def test_a_claim_that_is_bound_is_left(api: CoreV1Api, server: ObjectsServer) -> None:
    server.there(CLAIMS)["home-ada"] = claim("Bound")

    await bind(api, "notebooks", WANTED)

    assert [each.split()[0] for each in server.asked] == ["GET"]


@pytest.mark.parametrize("left", [claim("Lost"), claim("Pending", volume="v.old")], ids=["lost", "of another"])
async def test_one_that_never_will_be_bound_is_made_anew(
    left: dict[str, Any], api: CoreV1Api, server: ObjectsServer
) -> None:
    server.there(CLAIMS)["home-ada"] = left

    made = await bound(api, server)

    assert made["metadata"]["uid"] != "u"
    assert made["spec"]["volumeName"] == "v"


async def test_one_that_has_other_files_is_told_and_left(api: CoreV1Api, server: ObjectsServer) -> None:
    server.there(CLAIMS)["home-ada"] = claim("Bound", volume="w")

    with pytest.raises(LaunchFailed, match="the claim home-ada is of the volume w, not of v"):
        await bind(api, "notebooks", WANTED)
    assert server.there(CLAIMS)["home-ada"]["spec"]["volumeName"] == "w"


@pytest.mark.parametrize(
    ("found", "says", "words"),
    [
        (claim("Pending"), "", "is not ready after 1 s: it is not bound yet"),
        (claim("Bound", deletionTimestamp="2026-01-01T00:00:00Z"), "", "it is being deleted, which takes until no"),
        (None, "500 etcd is away", "is not ready after 1 s: etcd is away"),
        (None, "403 exceeded quota", "the claim home-ada could not be made: exceeded quota"),
    ],
)
async def test_one_that_does_not_come_is_told_in_words(
    found: dict[str, Any] | None, says: str, words: str, api: CoreV1Api, server: ObjectsServer
) -> None:
    if found:
        server.there(CLAIMS)["home-ada"] = found
    server.says = says

    with pytest.raises(LaunchFailed, match=words):
        await bind(api, "notebooks", WANTED, within=1)

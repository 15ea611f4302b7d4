"""What the queue says that nobody wants any more is deleted, whatever the cluster says to it at first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientConnectionError
from kubernetes_asyncio.client import ApiException

from gpuqueue_spawner.spawner import clearing
from gpuqueue_spawner.spawner.apiserver import away, said
from gpuqueue_spawner.spawner.client import QueueClient

from .fake_manager import SECRET, FakeManager

LEFT = {"namespace": "notebooks", "instance": "0123456789abcdef", "key": "k", "launch": 2}
SELECTOR = "gpuqueue.jupyter.org/instance=0123456789abcdef,gpuqueue.jupyter.org/key=k,gpuqueue.jupyter.org/launch=2"


class Cluster:
    """Pods by label selector; `faults` are what its next answers are instead."""

    def __init__(self) -> None:
        self.pods = [self.pod("new", None), self.pod("leaving", "2026-11-28T12:00:00Z")]
        self.faults: list[Exception] = []
        self.deleted: list[tuple[str, str, Any]] = []

    @staticmethod
    def pod(name: str, deleted: str | None) -> Any:
        return SimpleNamespace(metadata=SimpleNamespace(name=name, uid=f"uid-{name}", deletion_timestamp=deleted))

    async def list_namespaced_pod(self, namespace: str, label_selector: str) -> Any:
        if self.faults:
            raise self.faults.pop()
        assert (namespace, label_selector) == ("notebooks", SELECTOR)
        return SimpleNamespace(items=self.pods)

    async def delete_namespaced_pod(self, name: str, namespace: str, body: Any) -> None:
        if self.faults:
            raise self.faults.pop()
        self.deleted.append((namespace, name, body))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    it = Cluster()
    monkeypatch.setattr(clearing, "_cluster", lambda sections: it)
    return it


async def test_the_pod_of_a_launch_is_deleted_and_no_other_of_its_name(cluster: Cluster) -> None:
    """One that is on its way out is not asked again: that could shorten the time it has to save."""
    await clearing.clear([LEFT], sections=())

    assert cluster.deleted == [("notebooks", "new", {"preconditions": {"uid": "uid-new"}})]


@pytest.mark.parametrize(
    "fault", [ClientConnectionError("refused"), TimeoutError(), ApiException(status=500), ApiException(status=409)]
)
async def test_a_cluster_that_does_not_do_it_is_asked_when_the_queue_says_it_again(
    fault: Exception, cluster: Cluster
) -> None:
    cluster.faults = [fault]

    await clearing.clear([LEFT], sections=())
    assert cluster.deleted == []
    await clearing.clear([LEFT], sections=())

    assert len(cluster.deleted) == 1


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    it = FakeManager()
    await it.open()
    yield it
    await it.close()


async def test_the_hub_is_told_over_its_stream_and_hears_everything_else_meanwhile(
    manager: FakeManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cluster at a time is asked, however often the queue says it."""
    asked: list[Any] = []
    answers = asyncio.Event()

    async def clear(pods: Any) -> None:
        asked.append(pods)
        await answers.wait()

    monkeypatch.setattr(QueueClient, "clear", staticmethod(clear))
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    client = QueueClient(url=manager.url, secret_file=str(secret))
    client.start()
    (stream,) = await manager.wait_for(lambda: manager.streams)

    for _ in range(3):
        stream.write_message({"type": "clear", "pods": [LEFT]})
    await manager.wait_for(lambda: asked)
    await asyncio.sleep(0.2)
    assert asked == [[LEFT]]
    answers.set()
    await asyncio.sleep(0.1)
    stream.write_message({"type": "clear", "pods": [LEFT]})
    await manager.wait_for(lambda: len(asked) == 2)

    assert len(manager.hellos) == 1, "the stream stood all the time"
    await client.close()


def refused(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="no")
    error.body = f'{{"message": "{message}"}}'
    return error


@pytest.mark.parametrize(
    ("error", "answers"),
    [
        (ClientConnectionError("refused"), False),
        (TimeoutError(), False),
        (refused(429, "too many requests"), False),
        (refused(500, "etcdserver: request timed out"), False),
        (refused(503, "apiserver not ready"), False),
        (refused(500, "failed calling webhook"), True),
        (refused(403, "forbidden"), True),
        (refused(422, "invalid"), True),
        (ValueError("ours"), True),
    ],
    ids=said,
)
def test_a_fault_of_the_cluster_s_own_is_told_from_a_no(error: Exception, answers: bool) -> None:
    assert away(error) is not answers

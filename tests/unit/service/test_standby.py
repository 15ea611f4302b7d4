"""A manager that stands by says so rather than showing an old queue, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuqueue_spawner.service.inputs import ClaimInput, FailedInput, LaunchInput, ReadyInput, StopInput
from tests.unit.manager.world import World

from .served import PREFIX, Service
from .test_inputs import RIGHT


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    it = Service(World(tmp_path))
    it.scopes["alice"] = []
    yield it
    it.close()


@pytest.mark.parametrize("path", ["jobs", "jobs/1", "jobs/1/events", "queue", "nodes", "me", "stream"])
def test_it_answers_nobody_and_still_refuses_strangers(service: Service, path: str) -> None:
    status, answer = service.get(path, "alice")

    assert (status, answer["code"]) == (503, "gpuqueue.unavailable")
    assert service.get(path, "stranger")[0] == 401


def test_a_probe_is_told_and_answers_come_once_it_leads(service: Service) -> None:
    assert service.ask("GET", PREFIX + "health")[0] == 503

    service.lead()

    assert service.ask("GET", PREFIX + "health")[0] == 200
    assert service.get("jobs", "alice") == (200, {"jobs": []})


def test_it_keeps_no_connection_and_the_leader_keeps_them(service: Service) -> None:
    """A proxy goes on with a connection that it has, wherever the cluster sends new ones."""
    paths = ("health", "api/v1/jobs", "api/v1/openapi.yaml")
    headers = {"Authorization": "token alice", "Connection": "keep-alive"}

    def kept() -> set[bool]:
        answers = [service.fetch("GET", PREFIX + path, headers=headers) for path in paths]
        return {answer.headers.get("Connection") != "close" for answer in answers}

    assert kept() == {False}
    service.lead()
    assert kept() == {True}
    service.office.manager.stand_by()
    assert kept() == {False}


def test_a_page_s_stream_ends_when_it_leads_no_more(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page asks again, and is sent to the manager that leads."""
    monkeypatch.setattr("gpuqueue_spawner.service.api.stream.BEAT_S", 0.05)
    service.lead()
    told: list[bytes] = []

    def tell(chunk: bytes) -> None:
        told.append(chunk)
        if len(told) == 3:
            service.office.manager.stand_by()

    answer = service.fetch(
        *("GET", f"{PREFIX}api/v1/stream"),
        headers={"Authorization": "token alice"},
        streaming_callback=tell,
        request_timeout=10.0,
    )

    assert answer.code == 200
    assert len(told) >= 3


def test_it_answers_only_once_it_has_read_the_queue(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between taking the lease and knowing the jobs it would call every job unknown, and every permit void."""
    manager = service.office.manager
    read, led = manager.db.store.jobs.open, []
    monkeypatch.setattr(manager.db.store.jobs, "open", lambda: (led.append(manager.fence), read())[1])

    service.lead()

    assert led == [None]
    assert manager.fence is not None


@pytest.mark.parametrize("act", ["launch", "ready", "failed", "stop"])
def test_a_spawner_is_refused_too_and_may_come_again(service: Service, act: str) -> None:
    """Never "no such job": its Hub would give up what still waits or runs."""
    body = RIGHT[{"launch": LaunchInput, "ready": ReadyInput, "failed": FailedInput, "stop": StopInput}[act]]

    status, answer = service.post(f"jobs/{'0' * 32}/{act}", json.dumps(body).encode())

    assert (status, answer["code"]) == (503, "gpuqueue.unavailable")


def test_a_launched_process_is_told_to_ask_again_rather_than_to_end(service: Service) -> None:
    status, answer = service.post("claims", json.dumps(RIGHT[ClaimInput]).encode())

    assert (status, answer["code"]) == (503, "gpuqueue.unavailable")

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

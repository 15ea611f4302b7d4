"""Whatever a spawner sends, no endpoint fails: it is done, or refused with a code. On a real manager and database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuqueue_spawner.service.inputs import (
    ClaimInput,
    ExitedInput,
    FailedInput,
    FormInput,
    JobInput,
    LaunchInput,
    ReadyInput,
    StopInput,
)
from tests.unit.manager.world import World

from .served import Service
from .test_inputs import RIGHT, nearly

PATHS = {
    "jobs": JobInput,
    "jobs/KEY/launch": LaunchInput,
    "jobs/KEY/ready": ReadyInput,
    "jobs/KEY/failed": FailedInput,
    "jobs/KEY/exited": ExitedInput,
    "jobs/KEY/stop": StopInput,
    "jobs/ffffffffffffffffffffffffffffffff/stop": StopInput,
    "jobs/ffffffffffffffffffffffffffffffff/launch": LaunchInput,
    "claims": ClaimInput,
    "form": FormInput,
}
JOB = RIGHT[JobInput]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    it = Service(World(Path(tmp_path_factory.mktemp("service"))))
    it.lead()
    _, answer = it.post("jobs", json.dumps(JOB).encode())
    it.key = answer["job"]["key"]
    yield it
    it.close()


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=60)
@given(data=st.data())
def test_no_body_makes_an_endpoint_fail(service: Service, path: str, data: st.DataObject) -> None:
    body = data.draw(nearly(PATHS[path]))

    status, answer = service.post(path.replace("KEY", service.key), json.dumps(body).encode())

    assert status in (200, 201, 400, 404, 409), answer
    assert status < 400 or answer["code"].startswith("gpuqueue.")


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=15)
@given(raw=st.binary(max_size=100))
def test_no_bytes_make_an_endpoint_fail(service: Service, path: str, raw: bytes) -> None:
    status, answer = service.post(path.replace("KEY", service.key), raw)

    assert status == 400 or (status in (404, 409) and not raw)
    assert answer["code"].startswith("gpuqueue.")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lease": 1e300}, "lease"),
        ({"lease": -1}, "lease"),
        ({"user": ""}, "user"),
        ({"user": "a\x00"}, "user"),
        ({"server": "x" * 256}, "server"),
        ({"name": "x" * 256}, "name"),
        ({"name": "\u202egpj"}, "name"),
        ({"request": "short"}, "request"),
        ({"request": "with spaces in it"}, "request"),
        ({"uid": -1}, "uid"),
        ({"uid": 2**32}, "uid"),
        ({"options": {"x": "y" * 17_000}}, "options"),
        ({"resources": {"gpus": {"nvidia.com/gpu": "9999\n"}}}, "resources.gpus.nvidia.com/gpu"),
        ({"resources": {"gpus": {"": 1}}}, "resources.gpus..[key]"),
        ({"resources": {"memory": 2**63}}, "resources.memory"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_job_that_cannot_be_is_refused_by_its_field(service: Service, change: dict[str, Any], field: str) -> None:
    body = json.dumps({**JOB, "user": "bob", **change})

    status, answer = service.post("jobs", body.encode())

    assert (status, answer["field"]) == (400, field)


def test_what_is_over_a_limit_is_refused_like_other_bad_input(service: Service) -> None:
    """Field, value and what is allowed, besides the words for the person who asks."""
    bob = {**JOB, "user": "bob"}
    for n in range(5):
        body = {**bob, "server": f"s{n}", "request": f"request-{n}"}
        assert service.post("jobs", json.dumps(body).encode())[0] == 201

    def refused(**change: Any) -> tuple[Any, ...]:
        status, answer = service.post("jobs", json.dumps({**bob, **change}).encode())
        return status, *(answer[name] for name in ("code", "field", "value", "allowed"))

    assert refused() == (400, "gpuqueue.limit.queued-jobs", "queued_jobs", "6", "at most 5")
    assert refused(lease=90000.0) == (400, "gpuqueue.limit.lease", "lease", "90000.0", "at most 86400 seconds")
    status, code, field, value, allowed = refused(user="dave", resources={"gpus": {"nvidia.com/gpu": 99}})
    assert (status, code, field) == (400, "gpuqueue.limit.never-fits", "resources")
    assert "99 nvidia.com/gpu" in value
    assert allowed.startswith("what fits on one server")


def test_a_number_that_is_none_never_reaches_a_record(service: Service) -> None:
    """Python's JSON would take it, keep it, and fail at every later answer about this job."""
    body = json.dumps({**JOB, "user": "carol", "options": {"x": float("nan")}})

    status, answer = service.post("jobs", body.encode())

    assert (status, answer["code"]) == (400, "gpuqueue.json")


@pytest.mark.parametrize("ticket", ["1.1.é", "1", "1.1", "..", "1.1." + "0" * 64, "999999999999999999999.1.x", "a.b.c"])
def test_a_forged_ticket_launches_nothing(service: Service, ticket: str) -> None:
    status, answer = service.post("claims", json.dumps({"ticket": ticket, "pid": 7, "started": 7}).encode())

    assert status in (400, 409)
    assert answer["code"] in ("gpuqueue.input", "gpuqueue.launch.refused")


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", "Bearer " + "é" * 16, "token " + "s" * 32])
def test_without_the_secret_nothing_is_even_looked_at(service: Service, given: str) -> None:
    status, answer = service.post("jobs", b"no JSON", Authorization=given)

    assert (status, answer["code"]) == (401, "gpuqueue.token")


def test_a_stop_that_the_queue_itself_asked_the_hub_for_ends_no_job(service: Service) -> None:
    """It only makes the Hub look, or give up what the cluster has taken away. The next one is somebody's."""
    body = {**JOB, "user": "erin", "request": "request-of-erin"}
    key = service.post("jobs", json.dumps(body).encode())[1]["job"]["key"]
    stop = json.dumps({"instance": "hub-of-this-test"}).encode()

    with service.office.hubs.asked(key):
        assert service.post(f"jobs/{key}/stop", stop)[1]["job"]["state"] == "queued"

    assert service.post(f"jobs/{key}/stop", stop)[1]["job"]["end"] == "cancelled"


@pytest.mark.parametrize(
    ("fate", "status"),
    [
        ({"cause": "taken", "words": "so"}, 200),
        ({"cause": "ended"}, 200),
        ({"cause": "whatever", "words": ""}, 400),
        ({"words": "so"}, 400),
        ("taken", 400),
    ],
)
def test_what_became_of_a_pod_is_one_of_a_few_things(service: Service, fate: Any, status: int) -> None:
    asked = {**JOB, "user": "frank", "request": "request-of-frank"}
    key = service.post("jobs", json.dumps(asked).encode())[1]["job"]["key"]
    body = json.dumps({"launch": 1, "status": None, "fate": fate}).encode()

    assert service.post(f"jobs/{key}/exited", body)[0] == status

"""The doctor looks at real sites: a whole one is in order, and of a broken one it names what is broken."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.services.site import TREE, Site, site
from tests.unit.cli.doctor.examined import Told, examined, problems

ROLE = """
for role in c.JupyterHub.load_roles:
    if role["name"] == "gpuqueue-service":
        role["scopes"] = ["list:users"]
"""


@pytest.fixture(scope="module")
def patient() -> Iterator[Site]:
    """A site to hurt; it is whole again after each test."""
    with site(gpus=1) as it:
        yield it


@pytest.fixture(autouse=True)
def _whole_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "patient" in request.fixturenames:
        it: Site = request.getfixturevalue("patient")
        it.start()


def at(it: Site, capsys: pytest.CaptureFixture[str]) -> dict[str, Told]:
    """What it says of the manager's side."""
    return examined(capsys, "--config", it.folder / "manager_config.py")


def test_a_whole_site_is_in_order(any_site: Site) -> None:
    """On both versions of JupyterHub; exit status 0."""
    files = ["--config", "manager_config.py", "--hub-config", "jupyterhub_config.py"]

    done = subprocess.run(
        [any_site.python, "-m", "gpuqueue_spawner.cli", "doctor", *files, "--json"],
        capture_output=True,
        text=True,
        cwd=any_site.folder,
        env={**os.environ, "PYTHONPATH": str(TREE)},
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = {each["name"]: each["outcome"] for each in json.loads(done.stdout)["checks"]}
    assert {name for name, outcome in told.items() if outcome != "ok"} <= {
        "machine.gpus",  # simulated ones
        "machine.driver",  # not where there is no GPU
        "machine.homes",  # made at the first start
        "machine.cgroups",
        "machine.users",
    }
    assert any_site.service_token not in done.stdout


def test_a_hub_that_is_away_is_named(patient: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """And that the manager misses it."""
    patient.hub.stop()

    found = at(patient, capsys)

    assert problems(found) == {"hub.answers", "manager.answers"}
    assert f"No Hub answers at http://127.0.0.1:{patient.ports['hub']}" in found["hub.answers"].seen
    assert "JupyterHub is not connected" in found["manager.answers"].seen


def test_a_hub_that_stands_still_costs_a_few_seconds(patient: Site, capsys: pytest.CaptureFixture[str]) -> None:
    patient.hub.signal(signal.SIGSTOP)
    try:
        found = at(patient, capsys)
    finally:
        patient.hub.signal(signal.SIGCONT)

    assert "hub.answers" in problems(found)
    assert found["database.schema"].outcome == "ok"


def test_a_manager_that_is_away_is_named(patient: Site, capsys: pytest.CaptureFixture[str]) -> None:
    patient.manager.kill()

    found = at(patient, capsys)

    assert problems(found) == {"manager.answers"}
    assert found["manager.version"].seen == "the manager does not answer"
    assert "gpuqueue manager" in found["manager.answers"].words


def test_a_token_that_the_hub_does_not_know_is_named(
    patient: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "token"
    other.write_text("f" * 32)
    other.chmod(0o600)
    config = tmp_path / "manager_config.py"
    config.write_text(
        (patient.folder / "manager_config.py").read_text() + f"c.ManagerApp.hub_token_file = {str(other)!r}\n"
    )

    found = examined(capsys, "--config", config, "--hub-config", patient.folder / "jupyterhub_config.py")

    assert problems(found) == {"hub.token", "hub.agreement"}
    assert "does not know the manager's token" in found["hub.token"].seen


def test_a_service_without_its_rights_is_named(patient: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A site that replaced the roles which configure() adds."""
    config = patient.folder / "jupyterhub_config.py"
    whole = config.read_text()
    patient.hub.stop()
    config.write_text(whole + ROLE)
    patient.hub.start()
    patient.hub_answers()
    try:
        found = at(patient, capsys)
    finally:
        patient.hub.stop()
        config.write_text(whole)

    assert "hub.token" in problems(found)
    assert "delete:servers" in found["hub.token"].seen


def test_a_database_of_another_version_is_named_while_the_manager_runs(
    patient: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after an upgrade that forgot to restart something."""

    def set_schema(version: str) -> str:
        with closing(sqlite3.connect(patient.folder / "gpuqueue.sqlite", timeout=10)) as connection, connection:
            before = str(connection.execute("SELECT version_num FROM gpuqueue_schema").fetchone()[0])
            connection.execute("UPDATE gpuqueue_schema SET version_num = ?", (version,))
        return before

    right = set_schema("9999")
    try:
        found = at(patient, capsys)
    finally:
        set_schema(right)

    assert problems(found) == {"database.schema"}

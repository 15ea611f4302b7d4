"""What the doctor makes of answers that a real Hub or manager cannot easily be brought to: odd versions, wrong clocks.

The real ones: tests/hub/test_doctor.py.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner import __version__
from gpuqueue_spawner.cli.doctor import clocks
from gpuqueue_spawner.cli.doctor.hub import judged_scopes

from .examined import Told, examined

SERVICE = {"kind": "service", "name": "gpuqueue", "scopes": []}
RIGHT = ["list:users", "read:users:groups", "read:servers", "delete:servers", "start:servers"]


class Answers:
    """A server that says what a test has put into it, by path."""

    def __init__(self) -> None:
        self.says: dict[str, tuple[int, Any]] = {
            "/hub/api/": (200, {"version": "6.1.1"}),
            "/hub/api/user": (200, {**SERVICE, "scopes": RIGHT}),
            "/services/gpuqueue/health": (200, {"leading": True, "problem": "", "version": __version__}),
        }
        self.off = 0.0  #: seconds that its clock is ahead
        self.port = 0


@contextmanager
def served(answers: Answers) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = answers.says.get(self.path, (404, {}))
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() + answers.off, usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answers.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture
def answers() -> Iterator[Answers]:
    it = Answers()
    with served(it):
        yield it


@pytest.fixture
def found(answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def look() -> dict[str, Told]:
        for name, text in (("token", "t" * 32), ("spawner_secret", "s" * 64), ("cookie_secret", "c" * 64)):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        config = tmp_path / "manager_config.py"
        config.write_text(
            f"c.ManagerApp.data_dir = {str(tmp_path)!r}\nc.ManagerApp.port = {answers.port}\n"
            f"c.ManagerApp.hub_token_file = {str(tmp_path / 'token')!r}\n"
            f"c.ManagerApp.hub_api_url = 'http://127.0.0.1:{answers.port}/hub/api'\n"
            "c.LocalCapacity.simulated_gpus = 1\n"
        )
        return examined(capsys, "--config", config)

    return look


def test_good_answers_are_in_order(found: Any) -> None:
    told = found()

    assert {told[name].outcome for name in told if name.split(".")[0] in ("hub", "manager")} <= {"ok", "not checked"}


@pytest.mark.parametrize("version", ["5.4.6", "4.1.0", "7.0.0"])
def test_a_hub_of_another_version_is_named(version: str, answers: Answers, found: Any) -> None:
    answers.says["/hub/api/"] = (200, {"version": version})

    assert f"JupyterHub {version} runs; possible is 5.5 to 6" in found()["hub.answers"].seen


@pytest.mark.parametrize("body", [b"<html>", {"message": "hello"}, [], {"version": 6}])
def test_what_is_no_hub_is_told_from_one(body: Any, answers: Answers, found: Any) -> None:
    answers.says["/hub/api/"] = (200, body)

    assert "is no Hub's API" in found()["hub.answers"].seen


def test_somebody_else_s_token_is_noticed(answers: Answers, found: Any) -> None:
    answers.says["/hub/api/user"] = (200, {"kind": "user", "name": "dana", "scopes": RIGHT})

    assert "belongs to the user 'dana'" in found()["hub.token"].seen


@pytest.mark.parametrize(
    ("status", "says"), [(403, "does not know the manager's token"), (500, "answers 500 to the manager's token")]
)
def test_a_refused_token_is_told_from_a_broken_hub(status: int, says: str, answers: Answers, found: Any) -> None:
    answers.says["/hub/api/user"] = (status, {})

    assert says in found()["hub.token"].seen


@pytest.mark.parametrize("off", [-3600.0, 3600.0])
def test_a_clock_an_hour_off_is_a_problem(off: float, answers: Answers, found: Any) -> None:
    answers.off = off

    told = found()["hub.clock"]
    assert told.outcome == "problem"
    assert ("ahead of" if off > 0 else "behind") in told.seen


@pytest.mark.parametrize(
    ("theirs", "outcome"), [(100.0, "ok"), (95.5, "ok"), (90.0, "warning"), (111.0, "warning"), (30.0, "problem")]
)
def test_clocks_are_judged_by_what_cannot_be_rounding(theirs: float, outcome: str) -> None:
    """A header has whole seconds, and an answer takes time."""
    assert clocks.compared("The", theirs, asked=100.0, answered=101.0).outcome.value == outcome


def test_a_manager_of_another_version_is_named(answers: Answers, found: Any) -> None:
    answers.says["/services/gpuqueue/health"] = (200, {"leading": True, "problem": "", "version": "0.0.1"})

    assert f"version 0.0.1, this command of {__version__}" in found()["manager.version"].seen


def test_a_manager_that_stands_by_or_complains_is_quoted(answers: Answers, found: Any) -> None:
    answers.says["/services/gpuqueue/health"] = (503, {"leading": False, "problem": "", "version": __version__})
    assert found()["manager.answers"].outcome == "warning"

    words = "JupyterHub is not connected to the queue."
    answers.says["/services/gpuqueue/health"] = (200, {"leading": True, "problem": words, "version": __version__})
    assert words in found()["manager.answers"].seen


def test_a_manager_is_found_by_its_address_alone_and_by_the_hub_s_file(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no manager's file, as on a Hub's machine."""
    hub = tmp_path / "jupyterhub_config.py"
    hub.write_text(
        "from gpuqueue_spawner.hub import configure\nc.JupyterHub.authenticator_class = 'dummy'\n"
        f"configure(c, service_token='t', spawner_secret_file='s', manager_url='http://127.0.0.1:{answers.port}')\n"
    )

    by_hub = examined(capsys, "--hub-config", hub)
    by_address = examined(capsys, "--hub-config", hub, "--manager", "http://127.0.0.1:1/")

    assert f"answers at http://127.0.0.1:{answers.port} and leads" in by_hub["manager.answers"].seen
    assert "No manager answers at http://127.0.0.1:1:" in by_address["manager.answers"].seen


@pytest.mark.parametrize(
    ("scopes", "outcome", "says"),
    [
        (RIGHT, "ok", "no more"),
        ([*RIGHT[:4], "servers"], "ok", "no more"),
        (RIGHT[:4], "problem", "start:servers"),
        (["read:users:groups", "servers"], "problem", "delete:servers, list:users"),
        ([*RIGHT, "admin:users"], "warning", "admin:users"),
        ([f"{scope}!user=ada" for scope in RIGHT], "problem", "list:users"),
    ],
)
def test_rights_are_enough_and_not_more(scopes: list[str], outcome: str, says: str) -> None:
    """A right on one user's things only is none."""
    found = judged_scopes(scopes, service="gpuqueue")

    assert (found.outcome.value, says in found.seen) == (outcome, True), found.seen

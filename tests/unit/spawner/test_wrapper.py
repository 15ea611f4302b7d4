"""What runs between the permit and the notebook, as a real process."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.spawner import wrapper

TELL = """
import json, os
told = {"pid": os.getpid(), "env": dict(os.environ), "fds": sorted(map(int, os.listdir("/proc/self/fd"))),
    "stdin": os.readlink("/proc/self/fd/0"), "umask": os.umask(0)}
json.dump(told, open("told", "w")); print("hello log")
"""


class Queue(HTTPServer):
    """Answers each claim with the next status of a list, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Claim)
        self.statuses, self.claims = [*statuses], []  # type: ignore[var-annotated]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/spawner/v1/claims"


class Claim(BaseHTTPRequestHandler):
    """One claim."""

    def do_POST(self) -> None:
        assert isinstance(self.server, Queue)
        self.server.claims.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status = self.server.statuses[0] if len(self.server.statuses) == 1 else self.server.statuses.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"message": "superseded"}')

    def log_message(self, *words: object) -> None:
        """Keep quiet."""


@pytest.fixture
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    server = Queue(*getattr(request, "param", (200,)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


WHO = 200_001 if os.geteuid() == 0 else None  # root becomes somebody else before every notebook


@pytest.fixture
def own(homes: Path) -> Path:
    """A folder of the one that the notebook runs as."""
    folder = Path(tempfile.mkdtemp(dir=homes))
    if WHO:
        os.chown(folder, WHO, WHO)
    return folder


def run(document: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    spare = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(spare, True)
    try:
        return subprocess.run(
            [sys.executable, "-I", "-S", wrapper.__file__],
            input=json.dumps(document).encode(),
            capture_output=True,
            timeout=30,
            close_fds=False,
            check=False,
        )
    finally:
        os.close(spare)


def document(queue: Queue, folder: Path, **fields: Any) -> dict[str, Any]:
    return {
        "ticket": "t-1",
        "claim_url": queue.url,
        "uid": WHO,
        "gid": WHO,
        "groups": [],
        "env": {"TOKEN": "secret", "PATH": os.environ["PATH"]},
        "cwd": str(folder),
        "cgroups": [],
        "argv": [sys.executable, "-c", TELL, "one"],
        "log": str(folder / ".gpuqueue" / "job-1-1.log"),
        **fields,
    }


@pytest.mark.parametrize("queue", [(503, 200)], indirect=True)
def test_a_claimed_launch_becomes_the_notebook(queue: Queue, own: Path):
    """Same pid, the document's environment and nothing else, no open file of the Hub's, a log of its own."""
    done = run(document(queue, own))

    told = json.loads((own / "told").read_text())
    assert (done.returncode, done.stderr) == (0, b"")
    assert told["pid"] == queue.claims[-1]["pid"]
    assert queue.claims[-1]["ticket"] == "t-1"
    assert queue.claims[-1]["started"] > 0
    assert {**told["env"], "LC_CTYPE": ""} == {"TOKEN": "secret", "PATH": os.environ["PATH"], "LC_CTYPE": ""}
    assert told["stdin"] == os.devnull
    assert len(told["fds"]) <= 4  # its own three, and the one that lists them
    assert told["umask"] == 0o077
    assert (own / ".gpuqueue" / "job-1-1.log").read_text() == "hello log\n"
    assert (own / ".gpuqueue" / "job-1-1.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("queue", [(409,)], indirect=True)
def test_a_refused_launch_starts_nothing(queue: Queue, own: Path):
    """One line says why."""
    done = run(document(queue, own))

    assert done.returncode == wrapper.REFUSED
    assert done.stderr == b"this launch is no longer wanted (superseded)\n"
    assert not (own / "told").exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"argv": ["/no/such/program"]}, "/no/such/program cannot be executed by the numeric user"),
        ({"cwd": "/no/such/folder"}, "the folder /no/such/folder cannot be entered"),
        ({"cgroups": ["/no/such/cgroup.procs"]}, "the job's group /no/such/cgroup.procs cannot be joined"),
        ({"log": "/proc/no/log"}, "the log /proc/no/log cannot be written"),
        ({"groups": None, "uid": 1, "gid": 1}, "the launch wrapper failed: TypeError"),
    ],
)
def test_a_launch_that_cannot_work_says_why(queue: Queue, own: Path, fields: dict[str, Any], words: str):
    """In one line, also when the program cannot be executed after standard error became the log."""
    done = run(document(queue, own, **fields))

    assert done.returncode == wrapper.BROKEN
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_log_that_is_a_link_is_not_followed(queue: Queue, own: Path):
    """Nobody's file is written to through it."""
    victim = own / "victim"
    victim.touch()
    (own / ".gpuqueue").mkdir()
    if WHO:
        os.chown(own / ".gpuqueue", WHO, WHO)
    (own / ".gpuqueue" / "job-1-1.log").symlink_to(victim)

    done = run(document(queue, own))

    assert b"cannot be written" in done.stderr
    assert victim.read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_rights_are_dropped_for_good(queue: Queue, homes: Path):
    """User, group and groups are the document's, and it joins the job's group first."""
    folder = homes / "alice"
    folder.mkdir(mode=0o700)
    os.chown(folder, 200_001, 200_001)
    procs = homes / "cgroup.procs"

    argv = ["/bin/sh", "-c", "id -u; id -g; id -G; grep SigIgn /proc/self/status"]
    identity = {"uid": 200_001, "gid": 200_001, "groups": [200_002]}

    done = run(document(queue, folder, **identity, cgroups=[str(procs)], argv=argv))

    assert done.stderr == b""
    assert procs.read_text() == "0"
    *identities, _, ignored = (folder / ".gpuqueue" / "job-1-1.log").read_text().split()
    assert identities == ["200001", "200001", "200001", "200002"]
    assert int(ignored, 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGINT - 1)) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could run it as root")
def test_no_notebook_ever_runs_as_root(queue: Queue, own: Path):
    """Whatever a site's spawner forgot."""
    done = run(document(queue, own, uid=None, gid=None))

    assert done.returncode == wrapper.BROKEN
    assert b"no notebook runs as root" in done.stderr
    assert not (own / "told").exists()


def test_it_loads_little(queue: Queue, own: Path):
    """It is paid for before every notebook: the best of some runs is under 0.2 s of a processor."""

    def took() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, spent = took(), []
    for _ in range(5):
        run(document(queue, own, argv=["/bin/true"]))
        spent.append(took() - before - sum(spent))

    assert min(spent) < 0.2

"""The reflector and the official client against an HTTP server that misbehaves as proxies and full databases do."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gpuqueue_spawner.capacity.kubernetes.client import ApiServer
from gpuqueue_spawner.capacity.kubernetes.reflector import PAUSE_S, Kind, Reflector

from ..conftest import eventually

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: it
contexts: [{{name: it, context: {{cluster: it, user: nobody}}}}]
clusters: [{{name: it, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: nobody, user: {{}}}}]
"""
WATCHED_S = 3.0  # long enough for four tries and their pauses; without pauses there would be thousands
PAUSES_S = [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
GONE = {"kind": "Status", "code": 410, "message": "too old resource version"}


def a_pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "hub", "resourceVersion": str(version)}}


class Faulty(ThreadingHTTPServer):
    """Answers lists and watches by what `lists` and `watches` say now."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lists: Callable[[], tuple[int, dict[str, Any]]] = self.listed
        self.watches: Callable[[], Iterator[dict[str, Any]]] = self.followed
        self.asked: list[tuple[float, str]] = []
        self.ends = threading.Event()

    def listed(self) -> tuple[int, dict[str, Any]]:
        """As it should be."""
        return 200, {"metadata": {"resourceVersion": "7"}, "items": [a_pod("listed", 7)]}

    def followed(self) -> Iterator[dict[str, Any]]:
        """As it should be: one event, and then it stays open."""
        yield {"type": "ADDED", "object": a_pod("added", 8)}
        self.ends.wait(20)

    def times(self, what: str) -> list[float]:
        return [at for at, which in self.asked if which == what]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faulty

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        kind = "watch" if "watch" in query else "list"
        self.server.asked.append((time.monotonic(), kind))
        self._watch() if kind == "watch" else self._list()

    def _list(self) -> None:
        status, document = self.server.lists()
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in self.server.watches():
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def server() -> Iterator[Faulty]:
    with Faulty() as it:
        threading.Thread(target=it.serve_forever, args=[0.05], daemon=True).start()
        yield it
        it.ends.set()
        it.shutdown()


@pytest.fixture
def follow(server: Faulty, tmp_path: Path) -> Iterator[Callable[[], Reflector[str]]]:
    """Start to follow it."""
    made: list[Reflector[str]] = []

    def start() -> Reflector[str]:
        path = tmp_path / "kubeconfig"
        path.write_text(KUBECONFIG.format(port=server.server_port))
        api = ApiServer(kubeconfig=str(path))
        made.append(Reflector(api, Kind.PODS, lambda document: str(document["metadata"]["name"])))
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        each.stop()


def pauses(times: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(times)]


def spaced(times: list[float]) -> bool:
    """Whether each pause was at least as long as it has to be, however slow this machine is."""
    found = pauses(times)
    return len(found) >= len(PAUSES_S) and all(a >= b for a, b in zip(found, PAUSES_S, strict=False))


def gone_as_an_answer() -> tuple[int, dict[str, Any]]:
    return 410, GONE


def gone_as_an_event() -> Iterator[dict[str, Any]]:
    yield {"type": "ERROR", "object": GONE}


def the_end() -> Iterator[dict[str, Any]]:
    yield from ()


def test_lists_that_keep_answering_410_are_asked_for_less_and_less_often(
    server: Faulty, follow: Callable[[], Reflector[str]]
) -> None:
    """And nothing was heard; once it answers, it is followed."""
    server.lists = gone_as_an_answer
    it = follow()

    time.sleep(WATCHED_S)
    assert spaced(server.times("list"))
    assert (it.heard, server.times("watch")) == (None, [])

    server.lists = server.listed
    eventually(lambda: set(it.objects()) == {"listed", "added"}, within=20)


def test_watches_that_keep_answering_410_do_not_have_everything_listed_at_once_again(
    server: Faulty, follow: Callable[[], Reflector[str]]
) -> None:
    """In a good answer, as the API server says it; what the lists said meanwhile is kept."""
    server.watches = gone_as_an_event
    it = follow()

    time.sleep(WATCHED_S)
    assert spaced(server.times("list"))
    assert it.objects() == ("listed",)

    server.watches = server.followed
    eventually(lambda: set(it.objects()) == {"listed", "added"}, within=20)


def test_watches_that_end_at_once_in_a_good_answer_are_no_word(
    server: Faulty, follow: Callable[[], Reflector[str]]
) -> None:
    """They are asked for less and less often; the last word stays the list's, so that its age is seen."""
    server.watches = the_end
    it = follow()

    eventually(lambda: server.times("watch"))
    heard = it.heard
    time.sleep(WATCHED_S)
    assert spaced(server.times("watch"))
    assert len(server.times("list")) == 1
    assert heard is not None
    assert it.heard == heard
    assert "ended a watch" in it.problem

    server.watches = server.followed
    eventually(lambda: it.heard != heard and set(it.objects()) == {"listed", "added"}, within=20)
    assert it.problem == ""

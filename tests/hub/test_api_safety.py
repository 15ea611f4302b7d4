"""The API on a real site: other sites' pages, revoked tokens, a Hub that is away, and the spawners' own endpoints."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import requests

from gpuqueue_spawner.service.base import CSP
from tests.services.cast import Cast
from tests.services.program import until
from tests.services.site import PREFIX, Site

# ---- other pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "origin",
    ["https://elsewhere.example", "null", "http://127.0.0.1", "http://[", "", "http://127.0.0.1.elsewhere.example"],
)
@pytest.mark.parametrize("who", ["browser", "alice", "nobody"])
def test_a_foreign_origin_is_refused_also_with_the_right_xsrf_token(
    people: Cast, method: str, origin: str, who: str
) -> None:
    job = people.job("running")
    path = f"api/v1/jobs/{job}" + ("/cancel" if method == "POST" else "")

    answer = people.ask(who, method, path, headers={**people.xsrf(), "Origin": origin})

    assert (answer.status_code, answer.json()["code"]) == (403, "gpuqueue.origin")


def test_our_own_origin_is_let_through(people: Cast) -> None:
    job = people.job("running")

    answer = people.ask(
        "browser", "POST", f"api/v1/jobs/{job}/cancel", headers={**people.xsrf(), "Origin": people.site.url}
    )

    assert answer.status_code == 409


MODES = (None, "navigate", "cors", "no-cors", "same-origin", "websocket")
SITES = (None, "same-origin", "same-site", "cross-site", "none")
TOKENS = ("right", "wrong", "missing")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_by_cookie_only_our_own_page_changes_or_reads_anything(people: Cast, method: str) -> None:
    """Every combination of what a browser says of a request. Reads without the token: only what no script can read."""
    job = people.job("running")
    path = f"api/v1/jobs/{job}" + ("/cancel" if method == "POST" else "")
    right = people.xsrf()["X-XSRFToken"]
    wrong = [], []
    for mode, site, token in itertools.product(MODES, SITES, TOKENS):
        headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": site}
        headers["X-XSRFToken"] = {"right": right, "wrong": right[:-2] + "xx", "missing": None}[token]
        answer = people.ask("browser", method, path, headers={k: v for k, v in headers.items() if v is not None})
        if method == "POST":
            let_in = token == "right" and site in (None, "same-origin", "none")
        else:
            unreadable = mode in (None, "navigate", "websocket") or (mode, site) == ("no-cors", "same-origin")
            let_in = token == "right" or unreadable
        wrong[let_in].append((mode, site, token)) if (answer.status_code != 403) != let_in else None

    assert wrong == ([], []), "let in, and kept out"


@pytest.mark.parametrize("where", ["header", "argument", "form"])
def test_the_xsrf_token_may_come_in_three_ways(people: Cast, where: str) -> None:
    job = people.job("running")
    token = people.xsrf()["X-XSRFToken"]
    path = f"api/v1/jobs/{job}/cancel"
    more: dict[str, Any] = {
        "header": {"headers": {"X-XSRFToken": token}},
        "argument": {"params": {"_xsrf": token}},
        "form": {"data": {"_xsrf": token}},
    }[where]

    status = people.ask("browser", "POST", path, **more).status_code

    assert status == (400 if where == "form" else 409)  # a form is no JSON, and was let in to be told so


def test_the_xsrf_token_of_another_person_is_wrong(people: Cast) -> None:
    people.bob.session.get(people.site.url + PREFIX, timeout=20)
    job = people.job("running")

    answer = people.ask(
        "browser", "POST", f"api/v1/jobs/{job}/cancel", headers={"X-XSRFToken": people.bob.xsrf(PREFIX)}
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "gpuqueue.xsrf")


# ---- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("alice", "GET", "api/v1/me", 200),
        ("nobody", "GET", "api/v1/me", 401),
        ("nobody", "GET", "api/v1/openapi.yaml", 200),
        ("without-access", "GET", "api/v1/me", 403),
        ("alice", "GET", "api/v1/jobs/0", 404),
        ("alice", "PUT", "api/v1/me", 405),
        ("alice", "GET", "api/v1/nothing", 404),
        ("alice", "GET", "nothing", 404),
        ("browser", "GET", "", 200),
        ("nobody", "GET", "", 302),
        ("bob", "GET", "admin", 403),
        ("nobody", "GET", "health", 200),
        ("nobody", "GET", "availability?ticket=x", 401),
        ("nobody", "GET", "oauth_callback", 403),
        ("nobody", "GET", "oauth_callback?code=x&state=y", 403),
        ("nobody", "GET", "oauth_callback?error=access_denied&error_description=<b>", 403),
        ("nobody", "GET", "static/gpuqueue.css", 200),
        ("nobody", "GET", "static/gpuqueue.css?v=1", 200),
        ("nobody", "GET", "static/nothing.css", 404),
        ("nobody", "GET", "static/", 403),
        ("nobody", "GET", "static/..%2fapp.py", 403),
    ],
)
def test_every_answer_has_the_heads_that_keep_a_browser_safe(
    people: Cast, who: str, method: str, path: str, status: int
) -> None:
    answer = people.ask(who, method, path)

    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"] == CSP
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in answer.headers or "Tornado" not in answer.headers["Server"]
    kept = path.startswith("static/") and status == 200
    assert answer.headers["Cache-Control"] == ("no-cache" if kept else "no-store")
    assert status < 300 or "<b>" not in answer.text


# ---- streams ---------------------------------------------------------------------------------------------------------


class Follower(threading.Thread):
    """Reads a stream, and notes when what came."""

    def __init__(self, people: Cast, token: str) -> None:
        super().__init__(daemon=True)
        self.events: list[tuple[float, list[str]]] = []
        self.ended: float | None = None
        self._answer = people.ask("", "GET", "api/v1/stream", token=token, stream=True)
        assert self._answer.status_code == 200
        self.start()

    def run(self) -> None:
        try:
            for line in self._answer.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    self.events.append((time.monotonic(), json.loads(line[6:])["changed"]))
        except (requests.RequestException, AttributeError):
            pass
        self.ended = time.monotonic()

    def close(self) -> None:
        self._answer.close()


def test_a_stream_tells_at_most_twice_a_second_and_only_of_what_one_may_see(people: Cast) -> None:
    job = str(people.job("queued"))
    followers = [Follower(people, people.token(who)) for who in ("alice", "bob", "rita")]
    until(lambda: all(each.events for each in followers), within=10, what="all are connected")

    begun = time.monotonic()
    while time.monotonic() - begun < 3:
        for action in ("hold", "release"):
            people.ask("olaf", "POST", f"api/v1/jobs/{job}/{action}")
    until(lambda: any(job in what for _, what in followers[0].events), within=5, what="alice was told of her job")
    took = time.monotonic() - begun

    for each in followers:
        assert each.events[0][1] == ["all"]
        assert 3 <= len(each.events) <= 2 + 2 * took
        each.close()
    told = [{name for _, names in each.events for name in names} for each in followers]
    assert job in told[0]
    assert job in told[2]
    assert not any(name.isdecimal() for name in told[1])
    assert "queue" in told[1]


def test_who_has_too_many_streams_gets_another_when_one_is_closed(people: Cast) -> None:
    """And nobody else is kept from theirs."""
    people.site.hub_api("POST", "/users/greedy")  # whom no other test reads as: what is closed here is counted a while
    token, _ = people.new_token("greedy")

    def stream(**who: str) -> requests.Response:
        return people.ask(who.get("name", ""), "GET", "api/v1/stream", token=who.get("token"), stream=True)

    mine = [stream(token=token) for _ in range(50)]
    try:
        refused = stream(token=token)
        with stream(name="alice") as other:
            assert (refused.status_code, other.status_code) == (429, 200)
        mine.pop().close()

        def another() -> bool:
            with stream(token=token) as answer:
                return answer.status_code == 200

        until(another, within=30, what="another stream is let in")
    finally:
        for each in mine:
            each.close()


def test_a_stream_ends_within_half_a_minute_when_its_token_or_its_user_is_gone(people: Cast) -> None:
    revoked, id = people.new_token("alice")
    people.site.hub_api("POST", "/users/leaver")
    leaver, _ = people.new_token("leaver")
    followers = [Follower(people, token) for token in (revoked, leaver, people.token("bob"))]
    until(lambda: all(each.events for each in followers), within=10, what="all are connected")

    people.revoke("alice", id)
    assert people.site.hub_api("DELETE", "/users/leaver").status_code == 204
    begun = time.monotonic()
    until(lambda: followers[0].ended and followers[1].ended, within=30, what="both have ended")

    assert time.monotonic() - begun < 30
    assert followers[2].ended is None
    followers[2].close()
    for token in (revoked, leaver):
        assert people.ask("", "GET", "api/v1/me", token=token).status_code == 401


# ---- the Hub is away -------------------------------------------------------------------------------------------------


def test_with_the_hub_stopped_nothing_waits_for_it(people: Cast, own_site: Site) -> None:
    """Strangers get 503 within seconds, known people read on, and nobody else's answer takes any longer meanwhile."""
    job = people.job("running")
    fresh = [people.new_token("alice")[0] for _ in range(4)]
    people.browser.get(own_site.url + PREFIX, timeout=20)
    people.ask("alice", "GET", "api/v1/me")
    xsrf = {"X-XSRFToken": people.alice.xsrf(PREFIX)}
    time.sleep(6)  # past the seconds that an answer of the Hub is believed
    slow: list[tuple[str, Callable[[], requests.Response]]] = [
        ("api", lambda: people.ask("", "GET", "api/v1/jobs", token=fresh[0])),
        ("page", lambda: people.ask("", "GET", "", token=fresh[1])),
        ("login", lambda: people.ask("", "GET", "oauth_callback?code=x&state=y", token=fresh[2])),
        (
            "foreign page",
            lambda: people.ask("", "GET", "", token=fresh[3], headers={"Origin": "https://elsewhere.example"}),
        ),
        ("change", lambda: people.ask("browser", "POST", f"api/v1/jobs/{job}/cancel", headers=xsrf)),
    ]
    answers: dict[str, tuple[int, float]] = {}

    def measure(name: str, ask: Callable[[], requests.Response]) -> None:
        begun = time.monotonic()
        answers[name] = (ask().status_code, time.monotonic() - begun)

    own_site.hub.signal(signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=measure, args=one) for one in slow]
        for thread in threads:
            thread.start()
        waits = []
        while any(thread.is_alive() for thread in threads):
            begun = time.monotonic()
            assert requests.get(own_site.manager_url + PREFIX + "health", timeout=10).status_code == 200
            waits.append(time.monotonic() - begun)
            time.sleep(0.1)
        measure("known page", lambda: people.ask("browser", "GET", ""))
        measure("known api", lambda: people.ask("alice", "GET", "api/v1/jobs"))
    finally:
        own_site.hub.signal(signal.SIGCONT)

    assert {name: status for name, (status, _) in answers.items()} == {
        "api": 503,
        "page": 503,
        "login": 403,
        "foreign page": 403,
        "change": 503,
        "known page": 200,
        "known api": 200,
    }
    assert max(took for _, took in answers.values()) < 12
    assert max(answers["known page"][1], answers["known api"][1]) < 3
    assert sorted(waits)[len(waits) * 9 // 10] < 0.5, waits
    own_site.wait()
    until(
        lambda: people.ask("browser", "POST", f"api/v1/jobs/{job}/cancel", headers=xsrf).status_code == 409,
        within=20,
        what="the Hub answers again",
    )


# ---- the spawners' endpoints -----------------------------------------------------------------------------------------

SPAWNER = (
    "jobs",
    *(f"jobs/{0:032x}/{act}" for act in ("launch", "ready", "failed", "exited", "stop")),
    "form",
    "stream",
)


@pytest.mark.parametrize("path", SPAWNER)
def test_without_the_secret_no_spawner_endpoint_answers(people: Cast, path: str) -> None:
    """A person's token is no better than none, an admin's either."""
    tokens = ["", "x", people.token("alice"), people.token("dana"), people.site.service_token]
    method = "GET" if path == "stream" else "POST"
    websocket = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "x" * 24,
        "Sec-WebSocket-Version": "13",
    }

    for token, scheme in itertools.product(tokens, ("Bearer", "token")):
        headers = {"Authorization": f"{scheme} {token}", **(websocket if path == "stream" else {})}
        answer = requests.request(
            method, f"{people.site.manager_url}/spawner/v1/{path}", headers=headers, json={}, timeout=10
        )
        assert (answer.status_code, answer.json()["code"]) == (401, "gpuqueue.token")


@pytest.mark.parametrize(
    "path",
    [
        "/spawner/v1/jobs",
        PREFIX + "spawner/v1/jobs",
        PREFIX + "../../spawner/v1/jobs",
        PREFIX + "%2e%2e/%2e%2e/spawner/v1/jobs",
        PREFIX + "..%2f..%2fspawner/v1/jobs",
        "/" + PREFIX + "/../../spawner/v1/jobs",
        "/services/gpuqueue//spawner/v1/jobs",
    ],
)
def test_through_the_proxy_no_spawner_endpoint_is_reached(people: Cast, path: str) -> None:
    """Also with the right secret, and with paths that no client would send."""
    secret = (people.site.folder / "spawner_secret").read_text()
    request = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {secret}\r\nContent-Length: 2\r\n"
    with closing(socket.create_connection(("127.0.0.1", people.site.ports["public"]), timeout=20)) as connection:
        connection.sendall(request.encode() + b"Connection: close\r\n\r\n{}")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    status = int(answer.split()[1])
    assert status in (302, 400, 403, 404, 405)
    assert b"gpuqueue.input" not in answer, "the secret was accepted, and the body looked at"


def test_a_person_who_knows_no_ticket_launches_nothing(people: Cast) -> None:
    body = {"ticket": "1.1." + "0" * 64, "pid": 1, "started": 1}

    answer = requests.post(people.site.manager_url + "/spawner/v1/claims", json=body, timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (409, "gpuqueue.launch.refused")

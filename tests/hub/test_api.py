"""The API on a real site: who may what, bad input, other sites' pages, revoked tokens, and a Hub that is away."""

from __future__ import annotations

import html
import itertools
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from gpuqueue_spawner.service import routes
from gpuqueue_spawner.service.base import CSP, UserHandler
from tests.services.cast import Cast, cast
from tests.services.description import Operation, operations
from tests.services.program import until
from tests.services.site import PREFIX, Site

NOBODY = ("nobody", "stranger", "expired", "revoked")
WITHOUT_ACCESS = ("without-access", "service")
KNOWN = ("alice", "browser", "bob", "rita", "olaf", "dana")


@pytest.fixture(scope="module")
def people(own_site: Site) -> Iterator[Cast]:
    with cast(own_site) as them:
        yield them


@pytest.fixture(scope="module")
def any_people(any_site: Site) -> Iterator[Cast]:
    with cast(any_site) as them:
        yield them


# ---- who may what ----------------------------------------------------------------------------------------------------


def cells() -> Iterator[tuple[str, Operation, dict[str, str]]]:
    """Every operation of the description with every action, on alice's ended job: nothing there changes anything."""
    for operation in operations():
        values = operation.values("path")
        actions = next((each["schema"]["enum"] for each in operation.parameters if each["name"] == "action"), [""])
        for action in actions:
            yield (
                f"{operation.id} {action}".strip(),
                operation,
                {**values, "user": "nobody.at.all", "node": "nowhere"} | ({"action": action} if action else {}),
            )


def expected(cell: str, who: str) -> int:
    """The right of each person to each cell, written down once more."""
    if cell == "describe":
        return 200
    if who in NOBODY:
        return 401
    if who in WITHOUT_ACCESS:
        return 403
    owner, team = who in ("alice", "browser"), who in ("olaf", "dana")
    operation, _, action = cell.partition(" ")
    if operation in ("job", "events"):
        return 404 if who == "bob" else 200
    if operation == "act":
        allowed = team or (owner and action not in ("hold", "release"))
        return 404 if who == "bob" else 409 if allowed else 403  # 409: allowed, but not any more
    if operation == "endAll":
        return 200 if who == "dana" else 403
    if operation == "actOnNode":
        return 400 if who == "dana" else 403  # 400: allowed, but there is no such node
    return 200


@pytest.mark.parametrize("who", [*NOBODY, *WITHOUT_ACCESS, *KNOWN])
def test_each_may_do_what_is_theirs_and_nothing_else(any_people: Cast, who: str) -> None:
    job = str(any_people.job("ended"))
    given = {}
    for cell, operation, values in cells():
        path = operation.path
        for name, value in {**values, "job": job}.items():
            path = path.replace(f"{{{name}}}", value)
        with any_people.ask(
            who, operation.method, "api/v1" + path, headers=_xsrf(any_people), data=_body(operation), stream=True
        ) as answer:
            given[cell] = answer.status_code
            assert "Location" not in answer.headers

    assert given == {cell: expected(cell, who) for cell, _, _ in cells()}


def _body(operation: Operation) -> str | None:
    return json.dumps(operation.body) if operation.body is not None else None


def _xsrf(people: Cast) -> dict[str, str]:
    """What a browser adds; a program that shows a token need not."""
    people.browser.get(people.site.url + PREFIX, timeout=20)
    return {"X-XSRFToken": people.alice.xsrf(PREFIX)}


@pytest.mark.parametrize(
    ("query", "who", "status"),
    [
        ("user=alice", "alice", 200),
        ("user=alice", "bob", 403),
        ("all=1", "bob", 403),
        ("all=0", "bob", 200),
        ("user=nobody.at.all", "bob", 403),
        ("user=alice", "rita", 200),
        ("all=1", "rita", 200),
        ("all=yes", "rita", 400),
        ("state=%ff", "rita", 400),
    ],
)
def test_lists_of_others_need_a_right(people: Cast, query: str, who: str, status: int) -> None:
    assert people.ask(who, "GET", f"api/v1/jobs?{query}").status_code == status


def test_nobody_elses_name_is_in_what_everybody_sees(people: Cast) -> None:
    people.job("queued")

    for path in ("api/v1/queue", "api/v1/nodes"):
        assert "alice" in people.ask("rita", "GET", path).text
    for path in ("api/v1/queue", "api/v1/nodes", "api/v1/jobs", "api/v1/me", ""):
        assert "alice" not in people.ask("bob", "GET", path).text


def test_a_bad_token_is_refused_at_every_path_whatever_the_cookie_says(people: Cast) -> None:
    """Pages too: who shows a token is a program, and would follow a redirect to a login form."""
    refused = {}
    for method, path in user_routes():
        for cookies in (None, people.browser.cookies):
            with people.ask("stranger", method, path, cookies=cookies, stream=True) as answer:
                refused[method, path, cookies is None] = (answer.status_code, answer.headers.get("Location"))

    assert set(refused.values()) == {(401, None)}, refused


@pytest.mark.parametrize(
    "shown", ["token", "token ", "bearer x", "Bearer \t", "TOKEN " + "x" * 5000, "token a b", "token é"]
)
def test_what_is_no_token_is_a_bad_token(people: Cast, shown: str) -> None:
    answer = people.ask("nobody", "GET", "", headers={"Authorization": shown.encode()})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "token"


def test_another_servers_scheme_is_not_ours(people: Cast) -> None:
    """A site may have a password of its own before everything; a browser then sends it along."""
    answer = people.ask("nobody", "GET", "", headers={"Authorization": "Basic Zm9vOmJhcg=="})

    assert answer.status_code == 302
    assert people.ask("browser", "GET", "", headers={"Authorization": "Basic Zm9vOmJhcg=="}).status_code == 200


def user_routes() -> Iterator[tuple[str, str]]:
    """Every path that wants to know who asks, with its methods."""
    application = routes.application(prefix=PREFIX, settings={})
    for outer in application.default_router.rules:
        for rule in outer.target.rules:
            path = rule.matcher.regex.pattern.removesuffix("$").replace("([^/]+)", "1")
            if issubclass(rule.target, UserHandler) and not path.endswith((".*", "oauth_callback")):
                for method in rule.target.methods():
                    yield method, path.removeprefix(PREFIX)


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"no JSON",
        b"[]",
        b'"x"',
        b"null",
        b'{"note": NaN}',
        b'{"note": 1e999}',
        b'{"note": "a", "note": "b"}',
        b'{"note": "\xff"}',
        b'{"note": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"note": ' + b"9" * 60_000 + b"}",
        b'{"note": 5}',
        b'{"note": ["x"]}',
        b'{"note": null}',
        b'{"Note": "x"}',
        b'{"note": "x\\u0000"}',
        b'{"note": "\\u001b[31m"}',
        b'{"note": "\\ud800"}',
        b'{"note": "\\u202e"}',
        b'{"note": "' + b"x" * 1001 + b'"}',
    ],
    ids=lambda raw: raw[:24].decode("latin-1"),
)
def test_a_bad_body_is_refused_with_field_value_and_what_is_allowed(people: Cast, raw: bytes) -> None:
    """Nothing of it is done: the job is as it was."""
    job = people.job("running")
    before = people.ask("alice", "GET", f"api/v1/jobs/{job}/events").json()

    answer = people.ask("alice", "POST", f"api/v1/jobs/{job}/stop", data=raw)

    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "field", "value", "allowed"}
    assert answer.json()["code"] in ("gpuqueue.json", "gpuqueue.input")
    assert people.ask("alice", "GET", f"api/v1/jobs/{job}/events").json() == before


@pytest.mark.parametrize(
    "resources", [{"gpus": {"nvidia.com/gpu": n}} for n in (-1, 0.5, "1", True, None, 10**20, "9999\n")]
)
def test_odd_numbers_of_gpus_are_refused(people: Cast, resources: Any) -> None:
    answer = people.ask("alice", "POST", "api/v1/estimate", json={"resources": resources})

    assert (answer.status_code, answer.json()["field"]) == (400, "resources.gpus.nvidia.com/gpu")


@pytest.mark.parametrize(
    ("gpus", "kinds"), [(0, ("now", "wait")), (4, ("now", "wait")), (99, ("never",)), (10**6, ("never",))]
)
def test_any_number_of_gpus_has_an_estimate(people: Cast, gpus: int, kinds: tuple[str, ...]) -> None:
    answer = people.ask("alice", "POST", "api/v1/estimate", json={"resources": {"gpus": {"nvidia.com/gpu": gpus}}})

    assert answer.json()["kind"] in kinds


@pytest.mark.parametrize(
    "note", ["<script>alert(1)</script>", "Straße, 数学, שלום, \U0001f469\u200d\U0001f52c", "x" * 1000, "{{ 7*7 }}"]
)
def test_a_note_is_kept_as_it_is_and_shown_as_text(people: Cast, note: str) -> None:
    """On its page too: no markup of anybody reaches a browser."""
    job = people.job("queued")
    for action in ("hold", "release"):
        assert people.ask("olaf", "POST", f"api/v1/jobs/{job}/{action}", json={"note": note}).status_code == 200

    events = people.ask("alice", "GET", f"api/v1/jobs/{job}/events").json()["events"]
    assert [(event["event"], event["note"], event["by"]) for event in events[-2:]] == [
        ("hold", note, "olaf"),
        ("release", note, "olaf"),
    ]
    page = people.ask("browser", "GET", f"jobs/{job}").text
    assert "<script>alert" not in page
    assert html.escape(note, quote=False) in page


@pytest.mark.parametrize(
    "job", ["0", "999999999999999999", "9" * 30, "-1", "1.5", "x", "%00", "1%2F..", "٣", "1 or 1=1"]
)
def test_an_id_that_is_none_is_no_job(people: Cast, job: str) -> None:
    for path in (f"api/v1/jobs/{job}", f"api/v1/jobs/{job}/events"):
        answer = people.ask("dana", "GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "gpuqueue.not-found")


def test_a_path_that_is_no_text_is_refused(people: Cast) -> None:
    """Asked directly: the proxy has an answer of its own to that."""
    headers = {"Authorization": f"token {people.token('alice')}"}

    answer = requests.get(people.site.manager_url + PREFIX + "api/v1/jobs/%ff%fe", headers=headers, timeout=10)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "gpuqueue.input", "path")


@pytest.mark.parametrize("path", ["api/v1", "api/v1/", "api/v1/nothing", "api/v1/jobs/1/2/3", "api/v2/jobs"])
def test_an_unknown_path_of_the_api_is_told_as_json(people: Cast, path: str) -> None:
    answer = people.ask("alice", "POST", path) if path.startswith("api/v1") else people.ask("alice", "GET", path)

    assert answer.status_code == 404
    assert ("json" in answer.headers["Content-Type"]) == path.startswith("api/v1/")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_is_not_there_names_those_that_are(people: Cast, method: str) -> None:
    """And changes nothing, in particular not by GET."""
    job = people.job("running")
    before = people.ask("alice", "GET", f"api/v1/jobs/{job}").json()["job"]["version"]
    for operation in operations():
        if operation.method.upper() == method:
            continue
        path = operation.path.replace("{job}", str(job))
        actions = next((each["schema"]["enum"] for each in operation.parameters if each["name"] == "action"), [""])
        for action in actions:
            to = path.replace("{action}", action).replace("{user}", "alice").replace("{node}", "dgx1")
            answer = people.ask("dana", method, "api/v1" + to)
            assert (answer.status_code, answer.headers["Allow"]) == (405, operation.method.upper()), to
    assert people.ask("alice", "GET", f"api/v1/jobs/{job}").json()["job"]["version"] == before


# ---- bodies over the limit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("through", ["proxy", "manager"])
@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize("who", ["alice", "nobody"])
def test_ten_megabytes_are_answered_in_words_and_kept_nowhere(people: Cast, through: str, how: str, who: str) -> None:
    job = people.job("running")
    before = people.ask("alice", "GET", f"api/v1/jobs/{job}/events").json()
    size = 10 * 2**20
    data: Any = b"x" * size if how == "length" else iter([b"x" * 2**16] * (size // 2**16))
    url = people.site.url if through == "proxy" else people.site.manager_url
    token = people.token(who)

    answer = requests.post(
        f"{url}{PREFIX}api/v1/jobs/{job}/stop",
        data=data,
        headers={"Authorization": f"token {token}"} if token else {},
        timeout=30,
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "gpuqueue.body")
    assert answer.json()["message"] == "the body is larger than 64 KiB"
    assert people.ask("alice", "GET", f"api/v1/jobs/{job}/events").json() == before


def test_a_body_far_over_the_limit_fills_no_memory(people: Cast) -> None:
    """100 MB pass through; the manager's peak does not rise by a tenth of it."""
    pid = people.site.manager.process.pid  # type: ignore[union-attr]
    before = _peak(pid)

    answer = requests.post(
        people.site.manager_url + PREFIX + "api/v1/estimate", data=iter([b"x" * 2**20] * 100), timeout=60
    )

    assert answer.status_code == 413
    assert _peak(pid) - before < 10 * 2**20


@pytest.mark.parametrize(("size", "status"), [(65_536, 400), (65_537, 413)])
def test_the_limit_is_64_kib(people: Cast, size: int, status: int) -> None:
    assert people.ask("alice", "POST", "api/v1/estimate", data=b"x" * size).status_code == status


def _peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


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

    answer = people.ask(who, method, path, headers={**_xsrf(people), "Origin": origin})

    assert (answer.status_code, answer.json()["code"]) == (403, "gpuqueue.origin")


def test_our_own_origin_is_let_through(people: Cast) -> None:
    job = people.job("running")

    answer = people.ask(
        "browser", "POST", f"api/v1/jobs/{job}/cancel", headers={**_xsrf(people), "Origin": people.site.url}
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
    right = _xsrf(people)["X-XSRFToken"]
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
    token = _xsrf(people)["X-XSRFToken"]
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
    assert answer.headers["Cache-Control"].startswith(
        ("max-age" if "?v=" in path else "no-cache") if kept else "no-store"
    )
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

SPAWNER = ("jobs", *(f"jobs/{0:032x}/{act}" for act in ("launch", "ready", "failed", "stop")), "form", "stream")


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

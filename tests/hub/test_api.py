"""The API on a real site: who may what, and what becomes of bad input. Its safety in browsers: test_api_safety.py."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gpuqueue_spawner.service import routes
from gpuqueue_spawner.service.base import UserHandler
from tests.services.cast import Cast, cast
from tests.services.description import Operation, operations
from tests.services.site import PREFIX, Site

NOBODY = ("nobody", "stranger", "expired", "revoked")
WITHOUT_ACCESS = ("without-access", "service")
KNOWN = ("alice", "browser", "bob", "rita", "olaf", "dana")


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
            who, operation.method, "api/v1" + path, headers=any_people.xsrf(), data=_body(operation), stream=True
        ) as answer:
            given[cell] = answer.status_code
            assert "Location" not in answer.headers

    assert given == {cell: expected(cell, who) for cell, _, _ in cells()}


def _body(operation: Operation) -> str | None:
    return json.dumps(operation.body) if operation.body is not None else None


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

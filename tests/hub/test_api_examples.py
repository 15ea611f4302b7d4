"""Every example of an answer in the API's description is asked for on a real site, and comes as it stands there."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.services.cast import Cast
from tests.services.description import Example, check, examples
from tests.services.program import until
from tests.services.site import Site

WELL = [example for example in examples() if "away" not in example.tried]
EXACT = frozenset({"state", "status", "event", "end", "kind", "possible", "server", "user", "rights", "changed"})
WORDS = frozenset({"lead", "proof", "words", "problem", "message"})
FAULT = frozenset({"code", "field", "value", "allowed", "state", "possible"})


@pytest.mark.parametrize("example", WELL, ids=str)
def test_an_example_is_what_the_site_answers(people: Cast, example: Example) -> None:
    """Same status, same fields, same codes; and both follow the schema."""
    answer = ask(people, example)

    compare(example, answer)


def test_the_examples_with_the_hub_away(people: Cast, own_site: Site) -> None:
    """Every operation tells it within seconds, and all of them at the same time: nothing waits in a row."""
    tried = [example for example in examples() if example.tried.get("away") == "hub"]
    tokens = [people.new_token("alice")[0] for _ in tried]
    people.job("running")
    own_site.hub.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(len(tried)) as threads:
            begun = time.monotonic()
            answers = list(
                threads.map(lambda pair: ask(people, pair[0], token=pair[1]), zip(tried, tokens, strict=True))
            )
            took = time.monotonic() - begun
    finally:
        own_site.hub.signal(signal.SIGCONT)

    for example, answer in zip(tried, answers, strict=True):
        compare(example, answer)
    assert took < 15
    own_site.wait()


def test_the_examples_with_the_database_away(people: Cast, own_site: Site) -> None:
    """Somebody else's transaction holds it for as long as the queue waits.

    Whether the change was made after all is not known then; a moment later queue and Hub agree on it.
    """
    tried = [example for example in examples() if example.tried.get("away") == "database"]
    job = people.job("queued")
    with closing(sqlite3.connect(own_site.folder / "gpuqueue.sqlite", timeout=30, isolation_level=None)) as other:
        other.execute("begin immediate")
        with ThreadPoolExecutor(len(tried)) as threads:
            answers = list(threads.map(lambda example: ask(people, example), tried))
        other.execute("rollback")

    for example, answer in zip(tried, answers, strict=True):
        compare(example, answer)

    def agreed() -> bool:
        state = people.ask("alice", "GET", f"api/v1/jobs/{job}").json()["job"]["state"]
        kept = own_site.database("select state from jobs where id = ?", job)[0][0]
        pending = (people.alice.server(server="later") or {}).get("pending")
        return state == kept and (state, pending) in (("queued", "spawn"), ("ended", None))

    until(agreed, within=30, what="queue, database and Hub agree", story=own_site.story)


# ---- asking and comparing --------------------------------------------------------------------------------------------


def ask(people: Cast, example: Example, *, token: str | None = None) -> requests.Response:
    """Bring the situation about, and send the request."""
    tried, operation = example.tried, example.operation
    values = {**operation.values("path"), **{name: tried[name] for name in ("action", "node", "user") if name in tried}}
    if "job" in tried or "job" in values:
        values["job"] = str(people.job(tried.get("job", "running")))
    path = operation.path
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    more: dict[str, Any] = {"params": tried.get("query"), "headers": tried.get("headers"), "stream": True}
    if "size" in tried:
        more["data"] = b"x" * tried["size"]
    elif "raw" in tried:
        more["data"] = tried["raw"]
    elif operation.method != "get":
        more["json"] = tried.get("body", operation.body)
    open_already = [
        people.ask(tried["as"], "GET", "api/v1/stream", stream=True) for _ in range(tried.get("streams", 0))
    ]
    try:
        return people.ask(tried["as"], operation.method, "api/v1" + path, token=token, **more)
    finally:
        for each in open_already:
            each.close()


def compare(example: Example, answer: requests.Response) -> None:
    """Hold the answer against the example, and both against the schema."""
    media = answer.headers["Content-Type"].partition(";")[0]
    with answer:
        first = next(answer.iter_content(100_000)) if media == "text/event-stream" else answer.content
    assert answer.status_code == example.status, first.decode()
    assert media == example.media
    assert all(name in answer.headers for name in example.headers)
    if media != "application/json":
        assert first.decode().startswith(example.value)
        return
    body = answer.json()
    check(example.value, example.schema)
    check(body, example.schema)
    if example.status >= 400:
        assert {name: body.get(name) for name in FAULT} == {name: example.value.get(name) for name in FAULT}
        assert _words(body["message"]) == _words(example.value["message"])
    else:
        same_shape(example.value, body)


def same_shape(example: Any, actual: Any, where: str = "answer") -> None:
    """The same fields with the same kinds of values; the same values where they are words of the API."""
    if isinstance(example, dict) and isinstance(actual, dict):
        assert set(example) == set(actual), where
        for name, value in example.items():
            if name in EXACT:
                assert actual[name] == value, f"{where}.{name}"
            if name in WORDS:
                assert _words(actual[name]) == _words(value), f"{where}.{name}"
            same_shape(value, actual[name], f"{where}.{name}")
    elif isinstance(example, list) and isinstance(actual, list):
        assert bool(example) == bool(actual), where
        for one, other in zip(example[:1], actual, strict=False):
            same_shape(one, other, f"{where}[0]")
    else:
        kinds = [type(each) for each in (example, actual)]
        assert kinds[0] is kinds[1] or {*kinds} == {int, float}, f"{where} is {actual!r}, not like {example!r}"


def _words(text: str) -> str:
    """Without numbers, and without what a database says of itself."""
    return re.sub(r"\d+", "N", text.partition(" (the database is unavailable")[0])

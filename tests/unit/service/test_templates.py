"""The pages as HTML: everything escaped, nothing inline, ids unique, usable without a script."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gpuqueue_spawner.model import End, Event, ReasonCode, State
from gpuqueue_spawner.service import templating
from gpuqueue_spawner.service.views import error

from .builders import (
    ANEH,
    NOW,
    SITE,
    admin_view,
    at,
    job,
    jobs_view,
    logged,
    node,
    render,
    running,
    story_view,
    wait,
)

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What the checks below look at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = 0
        self._in = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag

    def handle_data(self, data: str) -> None:
        self.inline += self._in in ("script", "style") and bool(data.strip())

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag."""
        return [attrs for name, attrs in self.tags if name == tag]


def evil_pages() -> dict[str, str]:
    """Every page, with HTML in every word that a person can write."""
    mine = job(1, name=EVIL, server=EVIL, profile=EVIL, state=State.HELD, by=EVIL, message=EVIL)
    runs = running(2, name=EVIL, server="b", message=EVIL)
    others = [job(3, user=EVIL, name=EVIL), running(4, user=EVIL, name=EVIL, indexes=(4,))]
    ended = [replace(runs, state=State.ENDED, end=End.FAILED, message=EVIL, by=EVIL, ended=at(12))]
    waits = wait(mine, code=ReasonCode.HOLD, lead=EVIL, proof=EVIL) | wait(others[0], lead=EVIL, proof=EVIL)
    nodes = [node(note=EVIL, drained=True), node(EVIL, foreign=(0,))]
    log = logged(*[(NOW + n, event, State.QUEUED, {"by": EVIL, "note": EVIL, "detail": {"message": EVIL, "node": EVIL}})
                   for n, event in enumerate(Event)])  # fmt: skip
    fields = {"waits": waits, "ended": ended, "nodes": nodes, "unknown": EVIL}
    return {
        "jobs": render("jobs.html", jobs_view(mine, runs, *others, **fields)),
        "admin": render("admin.html", admin_view(mine, runs, *others, **fields, remarks={EVIL: EVIL})),
        "story": render("story.html", story_view(ended[0], log, nodes=nodes)),
        "error": render(
            "error.html",
            error.view(site=SITE, status=409, message=EVIL, code=EVIL, possible=(EVIL,), reader=ANEH, now=NOW),
        ),
        "empty": render("jobs.html", jobs_view()),
        "empty-admin": render("admin.html", admin_view()),
        "fragment": render("admin.html", admin_view(mine, runs, *others, **fields), fragment=True),
    }


PAGES = evil_pages()


@pytest.mark.parametrize("name", PAGES)
def test_what_people_write_is_text(name: str) -> None:
    """A name, note or message never becomes a tag or leaves its attribute."""
    page = Page(PAGES[name])

    assert "<img src=x" not in PAGES[name]
    assert "<script>alert" not in PAGES[name]
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_inline(name: str) -> None:
    """A strict content security policy lets the page through as it is."""
    page = Page(PAGES[name])

    assert page.inline == 0
    assert not [attrs for _, attrs in page.tags if "style" in attrs or any(key.startswith("on") for key in attrs)]
    assert all((attrs.get("src") or "").startswith("/") for attrs in page.all("script"))


@pytest.mark.parametrize("name", PAGES)
def test_every_id_is_there_once(name: str) -> None:
    """Live updates find elements by id."""
    ids = Counter(attrs["id"] for _, attrs in Page(PAGES[name]).tags if "id" in attrs)

    assert [id for id, count in ids.items() if count > 1] == []


@pytest.mark.parametrize("name", PAGES)
def test_labels_and_descriptions_lead_somewhere(name: str) -> None:
    """for, aria-labelledby and aria-describedby name ids of the page."""
    page = Page(PAGES[name])
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    named = {
        id
        for _, attrs in page.tags
        for key in ("for", "aria-labelledby", "aria-describedby")
        for id in (attrs.get(key) or "").split(" ")
        if attrs.get(key) and EVIL not in (attrs.get(key) or "")
    }

    assert named <= ids


@pytest.mark.parametrize("name", PAGES)
def test_every_form_works_without_a_script(name: str) -> None:
    """It posts, with the token, and has a button of its own."""
    html = PAGES[name]
    for form in re.findall(r"<form.*?</form>", html, flags=re.DOTALL):
        assert 'method="post"' in form
        assert '<input type="hidden" name="_xsrf" value="a-token">' in form
    for attrs in Page(html).all("form"):
        assert (attrs["action"] or "").startswith("/services/gpuqueue/")


@pytest.mark.parametrize("name", PAGES)
def test_every_time_is_readable_by_machines_and_in_utc(name: str) -> None:
    """The script rewrites it; without one it is true."""
    page = Page(PAGES[name])

    assert all(re.fullmatch(r"2026-11-\d\dT\d\d:\d\d:\d\dZ", attrs["datetime"] or "") for attrs in page.all("time"))
    for text in re.findall(r"<time[^>]*>([^<]*)</time>", PAGES[name]):
        assert text.endswith("UTC") or re.fullmatch(r"\w+ \d+ \w+ \d{4}", text)


def test_a_fragment_is_the_page_without_its_frame() -> None:
    """What the page fetches to bring itself up to date."""
    assert "<nav" not in PAGES["fragment"]
    assert "<html" not in PAGES["fragment"]
    assert '<main id="main">' in PAGES["fragment"]


def test_nothing_is_marked_safe_and_scripts_hold_no_template_signs() -> None:
    """The one exception is the Hub's own: a spawner's form is HTML."""
    templates = [*(templating.HERE / "templates").glob("*.html"), *templating.HUB_TEMPLATES.glob("*.html")]
    scripts: list[Path] = [*templating.STATIC.iterdir(), *templating.HUB_TEMPLATES.glob("*.js")]

    assert [path.name for path in templates if re.search(r"\|\s*safe", path.read_text())] == ["spawn.html"]
    for path in scripts:  # the Hub's pages include them through Jinja
        assert not re.search(r"\{\{|\{%|\{#|</script|</style", path.read_text()), path.name


@pytest.mark.parametrize("word", ["please be patient", "oops", " pod", "kill"])
def test_words_that_are_never_used(word: str) -> None:
    """As the design asks."""
    for html in PAGES.values():
        assert word not in re.sub(r"<[^>]*>", "", html).replace("alert(1)", "").lower()

"""The Hub's pages of ours, rendered over the installed JupyterHub's own, as the Hub does it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH

from gpuqueue_spawner.service import templating
from gpuqueue_spawner.spawner.openjobs import OpenJob

STOCK = Path(DATA_FILES_PATH) / "templates"
EVIL = "<b>\"x'</b>"


def hub_environment() -> Environment:
    """Like JupyterHub.init_tornado_settings, with our two folders in front."""
    paths = [templating.HUB_TEMPLATES, templating.STATIC, STOCK]
    loader = ChoiceLoader([PrefixLoader({"templates": FileSystemLoader(STOCK)}), FileSystemLoader(paths)])
    return Environment(autoescape=True, enable_async=True, loader=loader)


def page(name: str, **fields: Any) -> str:
    """A page of the Hub for aneh."""
    user = SimpleNamespace(
        name="aneh", escaped_name="aneh", json_escaped_name="aneh", spawner=SimpleNamespace(options_form="")
    )
    values = {
        "base_url": "/hub/", "prefix": "/", "user": user, "services": [], "parsed_scopes": {}, "xsrf_token": "TOKEN",
        "static_url": lambda path, **_: f"/hub/static/{path}", "logout_url": "/hub/logout", "login_url": "/hub/login",
        "expanded_scopes": frozenset({"access:services!service=gpuqueue"}), "no_spawner_check": True,
    }  # fmt: skip
    return asyncio.run(hub_environment().get_template(name).render_async(**{**values, **fields}))


def pending(server: str = "") -> str:
    """The waiting page."""
    spawner = SimpleNamespace(name=server)
    return page("spawn_pending.html", spawner=spawner, progress_url="/hub/api/users/aneh/server/progress?_xsrf=T")


@pytest.mark.parametrize(
    ("server", "expected"),
    [("", "/hub/api/users/aneh/server"), ("gpu", "/hub/api/users/aneh/servers/gpu"),
     ("a/b c", "/hub/api/users/aneh/servers/a%2Fb%20c")],
)  # fmt: skip
def test_the_waiting_page_cancels_the_right_server(server: str, expected: str) -> None:
    """The Hub's stock page stops the default server even while a named one is pending."""
    assert f'data-cancel="{expected}"' in pending(server)


def test_the_waiting_page_needs_nothing_of_the_service() -> None:
    """It may be the very thing that is down: style and scripts are printed into the page."""
    html = pending()

    assert not re.findall(r'(?:src|href)="[^"]*gpuqueue[^"]*\.(?:js|css)', html)
    assert "function followStream" in html
    assert ".gq-hero" in html
    assert 'new EventSource("' not in html


def test_the_waiting_page_says_it_all_once() -> None:
    """One status region, ids once, and a name is text."""
    html = pending(EVIL)
    ids = Counter(re.findall(r'\sid="([^"]+)"', html.split('<script type="module">')[0]))

    assert html.count('role="status"') == 1
    assert [id for id, count in ids.items() if count > 1] == []
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [(set(), (False, False)), ({"access:services!service=gpuqueue"}, (True, False)),
     ({"access:services", "custom:gpuqueue:operate"}, (True, True))],
)  # fmt: skip
def test_the_navigation_has_what_the_reader_may_open(scopes: set[str], expected: tuple[bool, bool]) -> None:
    """On every page of the Hub."""
    html = page("error.html", expanded_scopes=scopes, status_code=404, status_message="x", message="x")

    assert (">My jobs<" in html, ">Queue admin<" in html) == expected


def test_the_page_of_a_server_that_does_not_run_says_that_a_place_is_kept() -> None:
    """After a restart the Hub does not know of the request; the queue does, where it can be asked."""

    def asked(job: OpenJob) -> str:
        async def open_job(user: str, server: str) -> OpenJob:
            assert (user, server) == ("aneh", "gpu")
            return job

        return page("not_running.html", server_name="gpu", spawn_url="/s", gpuqueue_open_job=open_job)

    waits = asked(OpenJob(waits=True, place=3, of=7))
    none = asked(OpenJob())
    away = asked(OpenJob(known=False))
    untold = page("not_running.html", server_name="", spawn_url="/s")
    failed = page("not_running.html", server_name="", spawn_url="/s", failed=True, failed_message=EVIL)

    assert "Your place is kept: number 3 of 7." in waits
    assert ["yes" in re.findall('data-comesback="(.*?)"', html) for html in (waits, away, none)] == [True, True, False]
    assert "its place is kept" not in none
    assert "its place is kept" in away
    assert "its place is kept" in untold
    assert "&lt;b&gt;" in failed
    assert "<b>" not in failed


def test_a_named_server_that_the_hub_forgot_is_no_dead_end() -> None:
    """After a restart it answers 404 for it until the queue hands it back."""
    forgotten = page("404.html", status_code=404, status_message="x", message=f"aneh has no such server {EVIL}")
    other = page("404.html", status_code=404, status_message="Not Found", message="No such user: x")

    assert "its place is kept" in forgotten
    assert 'data-comesback="yes"' in forgotten
    assert "<b>" not in forgotten
    assert "No such user: x" in other
    assert "its place is kept" not in other
    assert 'data-comesback=""' in other


def test_what_the_proxy_gets_no_answer_from_is_not_called_the_readers_server() -> None:
    """The queue's own pages are among it; nobody is told to start a server again."""
    html = page("503.html", user=None, status_code=503, status_message="x", message_html="Your server appears ...")

    assert "every place in the queue is kept" in html
    assert 'data-queue="/services/gpuqueue/" data-notebooks="/user/"' in html
    assert "appears" not in html


def test_the_form_of_another_spawner_gets_a_button_too() -> None:
    """Our page frames every spawner's form."""
    form = page("spawn.html", for_user=SimpleNamespace(name="aneh"), spawner_options_form="<input name=x>", url="/u")

    assert form.count('id="gq-start"') == 1
    assert "<input name=x>" in form


def test_a_refusal_is_text() -> None:
    """Also where the Hub calls it HTML."""
    form = page(
        "spawn.html", for_user=SimpleNamespace(name="aneh"), spawner_options_form="", url="/u",
        error_message="", error_html_message=f"{EVIL}<script>alert(1)</script>",
    )  # fmt: skip

    assert "<b>" not in form
    assert "<script>alert" not in form

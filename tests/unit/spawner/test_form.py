"""What the spawn form prints."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from gpuqueue_spawner.spawner.form import ENTERED_LIMIT, EXACT, Entered, FormView, form_context, render

from .builders import PROFILES, RULES


def context(
    *, options: dict[str, Any] | None = None, answer: dict[str, Any] | None = None, entered: str = ""
) -> FormView:
    read = Entered.of(entered, profile_list=PROFILES, rules=RULES)
    return form_context(profile_list=PROFILES, options=options or {}, rules=RULES, answer=answer, now=0, entered=read)


def test_each_choice_has_its_wait():
    """Every profile, and every single other choice of it."""
    soon, now = {"kind": "wait", "start": 60, "words": "about 5 min"}, {"kind": "now", "words": "free now"}

    view = context(answer={"waits": {"free": soon, "cpu-only": now}, "ticket": "signed", "refresh": "/refresh"})

    assert {c.key: c.kind for c in view.choices if "--" not in c.key} == {"cpu-only": "now", "free": "wait"}
    assert "free--gpus--1" in {choice.key for choice in view.choices}
    assert (view.ticket, view.refresh, view.reachable) == ("signed", "/refresh", True)
    assert "free now" in render(view)


def test_without_an_answer_it_works_and_says_so():
    """The queue may be down while people fill in the form."""
    html = render(context())

    assert "does not answer" in html
    assert 'name="profile"' in html
    assert 'name="hours"' in html


def test_a_request_that_waits_is_told_with_its_place():
    """Start with the same choices goes back to it."""
    waiting = {"id": 1, "key": "k", "state": "queued", "version": 1, "place": 2, "of": 3}

    view = context(answer={"open": waiting})

    assert view.waiting_words == "You are 2nd of 3 in the queue."
    assert "2nd of 3" in render(view)


def test_saved_options_come_back_and_text_stays_text():
    """A name is never HTML or a template; options that the profiles no longer know are dropped."""
    html = render(context(options={"profile": "free", "hours": 3, "job_name": "<b>{{ 7 * 7 }}</b>"}))
    stale = context(options={"profile": "gone", "hours": 3})

    assert "&lt;b&gt;{{ 7 * 7 }}&lt;/b&gt;" in html
    assert 'value="3"' in html
    assert stale.hours == "8"


def entered(**fields: str) -> str:
    """As an open form sends it."""
    return urlencode({"profile": "free", **{f"profile-option-free--{name}": value for name, value in fields.items()}})


def test_what_is_entered_is_read_as_if_it_were_submitted():
    """Free numbers, several options, and the hours."""
    text = entered(**{"gpus--unlisted-choice": "3", "memory": "8"}) + "&hours=2"

    read = Entered.of(text, profile_list=PROFILES, rules=RULES)

    assert read.wish is not None
    assert (read.wish.resources.gpus, read.wish.resources.memory) == ({"nvidia.com/gpu": 3}, 8 * 2**30)
    assert read.wish.lease == 2 * 3600


def test_what_is_entered_has_its_own_wait():
    """With the words as they came, so that a page knows for what it was asked."""
    text = entered(**{"gpus--unlisted-choice": "3"})
    never = {"kind": "never", "start": None, "words": "Fits nowhere as it is: 3 GPUs, 1 to 2 is possible."}

    view = context(answer={"waits": {EXACT: never}}, entered=text)

    assert view.entered == text
    assert view.exact is not None
    assert (view.exact.kind, view.exact.words) == ("never", never["words"])
    assert f'data-key="{EXACT}" data-kind="never"' in render(view)


def test_what_no_request_may_ask_for_says_what_is_allowed():
    view = context(answer={}, entered=entered(**{"gpus--unlisted-choice": "<b>"}))

    assert view.exact is not None
    assert view.exact.kind == "refused"
    assert "allowed is a number of GPUs" in view.exact.words
    assert "&lt;b&gt;" in render(view)


@pytest.mark.parametrize(
    "text", ["", "=", "&&", "%ff%fe=%00", "profile=gone", "profile", "é", "x" * (ENTERED_LIMIT + 1)]
)
def test_no_header_breaks_the_form(text: str):
    assert 'name="profile"' in render(context(answer={}, entered=text))

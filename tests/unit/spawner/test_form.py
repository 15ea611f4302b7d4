"""What the spawn form prints."""

from __future__ import annotations

from typing import Any

from gpuqueue_spawner.spawner.form import FormView, form_context, render

from .builders import PROFILES, RULES


def context(*, options: dict[str, Any] | None = None, answer: dict[str, Any] | None = None) -> FormView:
    return form_context(profile_list=PROFILES, options=options or {}, rules=RULES, answer=answer, now=0)


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

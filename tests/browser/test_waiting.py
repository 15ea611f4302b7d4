"""The waiting page: place, estimate, reason, live; cancel; closing and opening it again."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.services.program import until

from .conftest import People


def test_place_estimate_and_reason_move_by_themselves(people: People) -> None:
    """Somebody ahead gives up, then a notebook ends: the page follows without a reload and opens the notebook."""
    alice = people.holds(4)
    bob = people.waits(2)
    carol = people.reader()
    page = carol.start("gpu1", name="night run")
    carol.state_is("queued")
    expect(carol.place).to_have_text("2nd of 2")
    expect(carol.why).to_have_text("Behind 1 other.")
    expect(page.locator("#gq-line > li")).to_have_count(2)
    expect(page.locator("#gq-foot")).to_have_text("You can close this page. Your place is kept.")
    carol.mark()

    bob.stop()

    expect(carol.place).to_have_text("1st of 1")
    expect(carol.why).to_contain_text("Waits for 1 free GPU. None is free on any server.")
    expect(page.locator("#gq-proof time")).to_have_text(re.compile(r"^\d\d:\d\d$"))
    expect(page.locator("#gq-proof")).to_contain_text("Last moved")
    expect(page.locator("#gq-changes")).to_contain_text("From 2nd to 1st.")
    expect(page.locator("#gq-when-eyebrow")).to_have_text("Starts at the latest about")
    expect(page.locator("#gq-when-big time")).to_have_text(re.compile(r"\d\d:\d\d$"))
    expect(page.locator("#gq-fact-lease")).to_contain_text("8 h")
    assert page.title().startswith("1st of 1 · night run")
    assert carol.is_same_page()

    alice.stop()

    carol.arrives()
    carol.visitor.job_is("running")


def test_cancel_ends_the_request_of_the_right_server_and_says_so_at_once(people: People) -> None:
    """A person with a default and a named server that both wait cancels one, then the other."""
    people.holds(4)
    bob = people.reader()
    bob.start("gpu1")
    bob.state_is("queued")
    bob.start("gpu1", name="second", server="two")
    bob.state_is("queued")
    expect(bob.place).to_have_text("2nd of 2")

    page = bob.page
    page.click("#gq-cancel summary")
    expect(page.locator("#gq-cancel-lost")).to_have_text("You give up 2nd place. Nothing else is lost.")
    page.click("#gq-cancel-yes")

    bob.state_is("cancelled")
    bob.visitor.no_job(server="two")
    assert (bob.visitor.job() or {})["state"] == "queued"

    bob.waiting_page()
    expect(bob.place).to_have_text("1st of 1")
    page.click("#gq-cancel summary")
    page.click("#gq-cancel-yes")

    bob.state_is("cancelled")
    bob.visitor.no_job()
    expect(page.locator("#gq-again-link")).to_be_focused()


def test_a_closed_page_keeps_the_place(people: People) -> None:
    """The person comes back with another window, and finds the request where it was."""
    people.holds(4)
    bob = people.reader()
    bob.start("gpu1")
    bob.state_is("queued")
    people.waits(2)
    job = bob.visitor.job() or {}

    bob.page.close()
    until(lambda: (bob.visitor.server() or {}).get("pending") == "spawn", within=5, what="the Hub holds it on")
    bob.page = bob.tab()
    bob.go("/hub/spawn")

    bob.page.wait_for_url(re.compile("/hub/spawn-pending/"))
    expect(bob.place).to_have_text("1st of 2")
    assert (bob.visitor.job() or {})["id"] == job["id"]


def test_a_start_that_fails_says_why_and_offers_another(people: People, mood: Callable[[str], None]) -> None:
    """It was tried again from its old place as often as the site allows."""
    mood("dies")
    alice = people.reader()
    alice.start("gpu1")

    alice.state_is("failed")

    expect(alice.page.locator("#gq-alert")).to_have_text("The notebook did not start.")
    expect(alice.why).not_to_contain_text("No reason was given")
    mood("")
    alice.page.click("#gq-again-link")
    alice.page.click("#gq-start")
    alice.arrives()


def test_who_is_logged_out_is_told(people: People) -> None:
    """The page cannot follow any more: it says so, and that the place is kept."""
    people.holds(4)
    bob = people.reader()
    bob.start("gpu1")
    bob.state_is("queued")

    bob.tab().goto("/hub/logout")
    for _ in range(2):
        bob.page.click("#live")  # updates off, and on again: a new connection

    bob.state_is("lost")
    expect(bob.why).to_contain_text("You are logged out.")
    expect(bob.why).to_contain_text("Your place is kept.")
    expect(bob.page.locator("#gq-reload")).to_be_visible()

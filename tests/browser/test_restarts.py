"""An open page outlives a restart of everything behind it: it says that the place is kept, and goes on by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.services.site import PREFIX, Site
from tests.services.visitor import Visitor

from .conftest import People
from .people import Reader

SILENCE_S = 18  # the proxy does not tell a page that the Hub was killed: it notices by the silence


def waits(people: People) -> tuple[Visitor, Reader]:
    """Somebody whose notebook is in the way, and somebody who looks at a place behind another."""
    alice = people.holds(4)
    people.waits(3)
    bob = people.reader()
    bob.start("gpu1")
    bob.state_is("queued")
    expect(bob.place).to_have_text("2nd of 2")
    bob.mark()
    return alice, bob


def goes_on(bob: Reader, job: int) -> None:
    """The same page shows the same request in its place again."""
    bob.state_is("queued")
    expect(bob.place).to_have_text("2nd of 2")
    assert (bob.visitor.job() or {})["id"] == job
    assert bob.is_same_page()


@pytest.mark.parametrize("name", ["hub", "proxy"])
def test_a_waiting_page_outlives_hub_and_proxy_and_opens_the_notebook(people: People, house: Site, name: str) -> None:
    """kill -9 and start, while it is open and nobody touches it."""
    alice, bob = waits(people)
    job = (bob.visitor.job() or {})["id"]
    program = getattr(house, name)

    program.kill()

    bob.state_is("lost", within=SILENCE_S + 30)
    expect(bob.why).to_contain_text("The Hub does not answer.")
    expect(bob.page.locator("#gq-eyebrow")).to_have_text("Your place, kept")
    expect(bob.place).to_have_text("2nd of 2")

    program.start()
    house.wait()

    goes_on(bob, job)
    alice.stop()
    bob.arrives()


def test_open_pages_outlive_the_manager(people: People, house: Site) -> None:
    """The waiting page is told by the Hub at once; My jobs, which the manager serves, notices the silence."""
    _, bob = waits(people)
    job = (bob.visitor.job() or {})["id"]
    jobs = bob.tab()
    jobs.clock.install()
    jobs.goto(PREFIX)
    expect(jobs.locator(f"#job-{job}")).to_contain_text("2nd of 2")
    jobs.evaluate("window.sameAsBefore = true")

    house.manager.kill()

    bob.state_is("away")
    expect(bob.why).to_contain_text("The queue does not answer.")
    expect(bob.page.locator("#gq-eyebrow")).to_have_text("Your place, kept")
    expect(bob.place).to_have_text("2nd of 2")
    jobs.clock.fast_forward((SILENCE_S + 1) * 1000)
    expect(jobs.locator("#gq-link")).to_have_text("Not connected, trying again")

    house.manager.start()
    house.wait()

    goes_on(bob, job)
    expect(jobs.locator("#gq-link")).to_have_text("")
    people.waits(1)
    expect(jobs.locator("#queue-rows tr")).to_have_count(3)
    assert jobs.evaluate("window.sameAsBefore === true")


def test_the_page_of_a_server_that_does_not_run_says_that_the_place_is_kept(
    people: People, house: Site, hold_back: Callable[[bool], None]
) -> None:
    """The Hub came back and has not been handed the requests yet; then the page goes on to the waiting page."""
    people.holds(4)
    bob = people.reader()
    bob.start("gpu1")
    bob.start("gpu1", server="two")
    bob.state_is("queued")
    hold_back(True)
    house.hub.kill()
    house.hub.start()
    house.wait()
    title, words = bob.page.locator("#gq-title"), bob.page.locator("#gq-words")

    bob.page.reload()  # the Hub does not even know that there is such a server
    expect(words).to_contain_text("If you had asked for it and it was waiting, its place is kept")
    for path, place in ((bob.pending_path(), 1), (f"/user/{bob.name}/two/lab", 2)):
        bob.go(path)
        expect(title).to_have_text("Your request waits")
        expect(words).to_contain_text(f"Your place is kept: number {place} of 2.")
    hold_back(False)

    bob.state_is("queued")
    expect(bob.place).to_have_text("2nd of 2")


def test_a_page_opened_while_the_queue_is_away_says_so_and_goes_on(people: People, house: Site) -> None:
    """Hub and manager both came down, and the Hub is back first."""
    people.holds(4)
    bob = people.reader()
    bob.start("gpu1")
    bob.state_is("queued")
    house.manager.kill()
    house.hub.kill()
    house.hub.start()
    house.hub_answers()

    page = bob.form()
    expect(page.locator(".gq-note.gq-warn").first).to_contain_text("The queue does not answer right now")
    bob.waiting_page()
    expect(page.locator("#gq-words")).to_contain_text("its place is kept")
    house.manager.start()

    bob.state_is("queued")
    expect(bob.place).to_have_text("1st of 1")
    house.wait()

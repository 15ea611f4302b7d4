"""From the login to a notebook, in a browser: the form with its waits, what it refuses, what it replaces."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.services.program import until
from tests.services.site import Site

from .conftest import People

LATEST = re.compile("at the latest (tomorrow, )?about")  #: also in the evening
HoldBack = Callable[[bool], None]


def test_from_the_login_by_the_form_to_a_notebook(people: People) -> None:
    """What is free starts at once, and the waiting page opens the notebook by itself."""
    alice = people.reader()

    alice.form()
    expect(alice.page.locator("#when-gpu1")).to_have_text("free now")
    alice.start("gpu1", name="first look")

    alice.arrives()
    job = alice.visitor.job_is("running")
    assert (job["name"], job["profile"]) == ("first look", "1 GPUs")


def test_the_waits_on_an_open_form_keep_current(people: People) -> None:
    """Somebody else takes the GPUs; the form says so without being loaded again, and what was entered stays."""
    alice = people.reader()
    page = alice.form()
    expect(page.locator("#when-gpu4")).to_have_text("free now")
    expect(page.locator("#room")).to_be_visible()
    page.fill("#gpuqueue-name", "half typed")
    alice.mark()

    people.holds(3)

    expect(page.locator("#when-gpu4")).to_contain_text(LATEST)
    expect(page.locator("#when-gpu1")).to_have_text("free now")
    expect(page.locator("#room + p, .gq-section-head").first).to_contain_text("1 of 4 GPUs free now")
    assert alice.is_same_page()
    assert page.input_value("#gpuqueue-name") == "half typed"


def test_a_number_shows_its_wait_while_it_is_typed(people: People) -> None:
    """Exactly what is entered is asked for: free numbers, and several options together."""
    people.holds(3)
    alice = people.reader()
    page = alice.form()
    chosen, number = page.locator("#gq-chosen"), page.locator("#profile-option-free--gpus--unlisted-choice")
    expect(chosen).to_have_text("This is free now.")
    alice.mark()

    page.check("#profile-item-free")
    page.select_option("#profile-option-free--gpus", "unlisted-choice")
    expect(chosen).to_have_text("Fill in “Number of GPUs” to see when this starts.")
    number.press_sequentially("1")
    expect(chosen).to_have_text("This is free now.")
    expect(page.locator("#when-free")).to_have_text("free now")
    number.fill("2")
    expect(chosen).to_contain_text(re.compile(r"^This starts at the latest (tomorrow, )?about \d\d:\d\d.$"))
    expect(page.locator("#when-free")).to_contain_text(LATEST)
    number.fill("99")
    expect(chosen).to_have_text("Fits nowhere as it is: 99 GPUs, 1 to 4 is possible.")
    number.fill("two")
    expect(chosen).to_contain_text("allowed is a whole number")
    number.fill("1")
    page.select_option("#profile-option-free--cpus", "many")
    expect(chosen).to_have_text("Fits nowhere as it is: 100 CPUs, up to 64 is possible.")
    page.select_option("#profile-option-free--cpus", "few")
    page.fill("#gpuqueue-hours", "2")
    expect(chosen).to_have_text("This is free now.")
    page.fill("#gpuqueue-hours", "99")
    expect(chosen).to_contain_text("at most 24")

    assert alice.is_same_page()
    assert number.input_value() == "1"
    assert alice.visitor.job() is None


def test_what_is_entered_has_no_wait_while_the_queue_is_away(people: People, house: Site) -> None:
    """No old number is shown; and it comes back by itself."""
    alice = people.reader()
    page = alice.form()
    chosen = page.locator("#gq-chosen")
    page.check("#profile-item-free")
    page.select_option("#profile-option-free--gpus", "unlisted-choice")
    page.fill("#profile-option-free--gpus--unlisted-choice", "2")
    expect(chosen).to_have_text("This is free now.")

    house.manager.kill()
    page.fill("#profile-option-free--gpus--unlisted-choice", "3")

    expect(chosen).to_have_text("When this starts is not known right now.")
    expect(page.locator("#when-gpu1")).to_have_text("not known right now")
    house.manager.start()
    house.wait()
    expect(chosen).to_have_text("This is free now.")
    expect(page.locator("#when-gpu1")).to_have_text("free now")


def test_a_form_that_was_opened_while_the_queue_was_away_comes_to_life(people: People, house: Site) -> None:
    alice = people.reader()
    house.manager.kill()
    page = alice.form()
    expect(page.locator("#gq-away")).to_be_visible()
    expect(page.locator("#gq-chosen")).to_have_text("When this starts is not known right now.")

    house.manager.start()
    house.wait()

    expect(page.locator("#gq-chosen")).to_have_text("This is free now.")
    expect(page.locator("#gq-away")).to_be_hidden()


def test_a_choice_that_fits_nowhere_says_so(people: People) -> None:
    """More GPUs than there are: refused with words, and every value is in the form to start from.

    By the page that waits, or by the one that the Hub answers with when it knows the end before the page is asked for.
    """
    alice = people.reader()
    page = alice.form()
    page.check("#profile-item-free")
    page.select_option("#profile-option-free--gpus", "unlisted-choice")
    page.fill("#profile-option-free--gpus--unlisted-choice", "99")
    page.fill("#gpuqueue-name", "too large")
    page.click("#gq-start")

    alice.state_is("failed")
    expect(page.locator("#gq-hero")).to_contain_text("99 GPUs")
    page.get_by_text("Change and start again").click()
    expect(page.locator("#profile-option-free--gpus--unlisted-choice")).to_have_value("99")
    expect(page.locator("#gpuqueue-name")).to_have_value("too large")


def test_a_change_of_mind_does_not_keep_the_form_from_being_sent(people: People) -> None:
    """A free number is asked for only in the profile that is chosen."""
    alice = people.reader()
    page = alice.form()
    page.check("#profile-item-free")
    page.select_option("#profile-option-free--gpus", "unlisted-choice")
    expect(page.locator("#profile-option-free--gpus--unlisted-choice")).to_be_focused()
    page.check("#profile-item-gpu1")

    page.click("#gq-start")

    alice.arrives()


def test_a_refused_form_keeps_what_was_entered_and_lists_the_fields(people: People) -> None:
    """Two fields are wrong: both are named, each as a link to its field, and nothing has to be typed again."""
    alice = people.reader()
    page = alice.form()
    page.check("#profile-item-free")
    page.select_option("#profile-option-free--gpus", "unlisted-choice")
    page.fill("#profile-option-free--gpus--unlisted-choice", "two")
    page.fill("#gpuqueue-name", "kept <b>name</b>")
    page.fill("#gpuqueue-hours", "99")
    page.evaluate("document.getElementById('spawn_form').noValidate = true")  # the browser would not even send it
    page.click("#gq-start")

    refused = page.locator("#gq-refused")
    expect(refused.locator("a")).to_have_text([re.compile("^Number of GPUs is 'two'"), re.compile("at most 24.$")])
    assert page.is_checked("#profile-item-free")
    assert page.input_value("#profile-option-free--gpus--unlisted-choice") == "two"
    assert page.input_value("#gpuqueue-name") == "kept <b>name</b>"
    assert page.input_value("#gpuqueue-hours") == "99"
    for at, field in enumerate(("#profile-option-free--gpus--unlisted-choice", "#gpuqueue-hours")):
        expect(page.locator(field)).to_have_attribute("aria-invalid", "true")
        refused.locator("a").nth(at).click()
        expect(page.locator(field)).to_be_focused()
    assert alice.visitor.job() is None


def test_the_form_leads_back_to_a_request_that_waits(people: People, house: Site, hold_back: HoldBack) -> None:
    """The Hub forgot the request in a restart: the form tells its place, and Start goes back to it."""
    people.holds(4)
    people.waits(1)
    bob = people.reader()
    bob.start("gpu2", name="mine")
    bob.state_is("queued")
    before = bob.visitor.job() or {}
    hold_back(True)
    house.hub.kill()
    house.hub.start()
    house.wait()

    page = bob.form()
    expect(page.locator("#gq-open")).to_contain_text("You are 2nd of 2 in the queue.")
    expect(page.locator("#profile-item-gpu2")).to_be_checked()
    expect(page.locator("#gpuqueue-name")).to_have_value("mine")
    expect(page.locator("#gq-replaces")).to_be_hidden()
    page.click("#gq-start")

    bob.state_is("queued")
    expect(bob.place).to_have_text("2nd of 2")
    after = bob.visitor.job() or {}
    assert (after["id"], after["queued"]) == (before["id"], before["queued"])


def test_other_choices_replace_a_request_that_waits_after_a_warning(
    people: People, house: Site, hold_back: HoldBack
) -> None:
    """It gives up its place for one at the end of the line."""
    people.holds(4)
    bob = people.reader()
    bob.start("gpu2")
    bob.state_is("queued")
    people.waits(1)
    expect(bob.place).to_have_text("1st of 2")
    hold_back(True)
    house.hub.kill()
    house.hub.start()
    house.wait()

    page = bob.form()
    expect(page.locator("#gq-open")).to_contain_text("You are 1st of 2 in the queue.")
    page.check("#profile-item-gpu3")
    expect(page.locator("#gq-replaces")).to_be_visible()
    page.click("#gq-start")

    expect(bob.place).to_have_text("2nd of 2")
    until(lambda: len(bob.visitor.queue("GET", "jobs").json()["jobs"]) == 1, within=10, what="one request is open")
    assert (bob.visitor.job() or {})["resources"]["gpus"] == {"nvidia.com/gpu": 3}


def test_html_in_a_name_is_text_everywhere(people: People) -> None:
    """On the form, the waiting page, My jobs, the story and the admin page."""
    evil = "<img src=x onerror=alert(1)><b>bold</b>"
    people.holds(4)
    alice, dana = people.reader(), people.reader("dana")
    for page in (alice.page, dana.page):
        page.on("dialog", lambda said: alice.faults.append(f"a dialog: {said.message}"))

    alice.start("gpu1", name=evil)
    alice.state_is("queued")

    expect(alice.page.locator("#gq-name")).to_have_text(evil)
    job = (alice.visitor.job() or {})["id"]
    expect(alice.jobs().locator(f"#job-{job} h2")).to_have_text(evil)
    expect(alice.story(job).locator("#main")).to_contain_text(evil)
    expect(dana.admin().locator(f"#waiting-{job} th")).to_contain_text(evil)
    for page in (alice.page, dana.page):
        assert page.locator("#main img, #main b:text('bold')").count() == 0

"""The whole way by keyboard: log in, ask, wait, cancel; and what an open question does with the Escape key."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.services.site import PASSWORD

from .conftest import People

MOST_STOPS = 40  # of the Tab key, until something must have come
#: Whether the focus is drawn, on the thing itself or on the frame right around it.
SHOWN = """() => [document.activeElement, document.activeElement.parentElement].some((each) => {
  const style = getComputedStyle(each);
  return style.outlineStyle !== "none" || style.boxShadow !== "none";
})"""


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there, and see that the focus is drawn."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("(what) => document.activeElement.matches(what)", selector):
            break
    else:
        raise AssertionError(f"{selector} cannot be reached by the Tab key")
    assert page.evaluate(SHOWN), f"nobody sees that {selector} has the focus"


def test_start_wait_and_cancel_by_keyboard_alone(people: People) -> None:
    """Not one click."""
    people.holds(4)
    bob = people.reader()
    bob.context.clear_cookies()
    page = bob.page
    bob.go("/hub/login?next=/hub/spawn")
    tab_to(page, "#username_input")
    page.keyboard.type(bob.name)
    tab_to(page, "#password_input")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.locator("#gq-start")).to_be_visible()
    tab_to(page, "input[name=profile]")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#profile-item-gpu2")).to_be_checked()
    tab_to(page, "#gpuqueue-name")
    page.keyboard.type("by keyboard")
    tab_to(page, "#gpuqueue-hours")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("2")
    tab_to(page, "#gq-start")
    page.keyboard.press("Enter")

    bob.state_is("queued")
    assert (bob.visitor.job() or {})["lease"] == 7200
    tab_to(page, "#gq-cancel summary")
    page.keyboard.press("Space")
    expect(page.locator("#gq-cancel-yes")).to_be_visible()
    tab_to(page, "#gq-cancel-yes")
    page.keyboard.press("Escape")
    expect(page.locator("#gq-cancel-yes")).to_be_hidden()
    expect(page.locator("#gq-cancel summary")).to_be_focused()
    bob.state_is("queued")
    page.keyboard.press("Enter")
    tab_to(page, "#gq-cancel-yes")
    page.keyboard.press("Enter")

    bob.state_is("cancelled")
    expect(page.locator("#gq-again-link")).to_be_focused()
    bob.visitor.no_job()


def test_my_jobs_by_keyboard_keep_the_focus_while_they_change(people: People) -> None:
    """An update from elsewhere leaves the focus and the open question where they are."""
    bob = people.reader()
    bob.visitor.start("gpu1")
    job = bob.visitor.job_is("running")["id"]
    page = bob.jobs()
    question = f"#job-{job} details:has-text('Stop')"
    tab_to(page, f"#job-{job} details:nth-of-type(2) summary")
    page.keyboard.press("Enter")
    expect(page.locator(question).get_by_role("button", name="Yes, stop it")).to_be_visible()

    people.holds(3)

    expect(page.locator("#room")).to_be_visible()
    expect(page.locator("#room-section")).to_contain_text("0 of 4 GPUs free now")
    expect(page.locator(question).get_by_role("button", name="Yes, stop it")).to_be_visible()
    expect(page.locator(f"{question} summary")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"#ended-{job}")).to_contain_text("Stopped by you")

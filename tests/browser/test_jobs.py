"""My jobs: what people do with their own jobs, live, and without a script by reloading."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.services.program import until
from tests.services.site import PREFIX

from .conftest import People


def confirm(card: Locator, word: str) -> None:
    """Press a button that asks first, and say yes."""
    details = card.locator("details", has=card.page.locator("summary", has_text=word))
    details.locator("summary").click()
    details.locator("button[type=submit]").click()


def streams_of(page: Page) -> list[str]:
    """The event streams that a page opens from now on."""
    opened: list[str] = []
    page.on("request", lambda asked: opened.append(asked.url) if "/api/v1/stream" in asked.url else None)
    return opened


def test_a_job_is_extended_restarted_opened_and_stopped_on_one_page_that_follows(people: People) -> None:
    """Each act shows by itself; one event stream does it; a restart keeps the GPUs."""
    alice = people.reader()
    alice.visitor.start("gpu2", job_name="attention maps")
    before = alice.visitor.job_is("running")
    streams = streams_of(alice.page)
    page = alice.jobs()
    card = page.locator(f"#job-{before['id']}")
    expect(card.locator(".gq-chip")).to_have_text("Running")
    expect(card).to_contain_text("2 GPUs on dgx1 · 1 CPU · 1 GB")
    expect(card.locator(".gq-mid")).to_have_text(re.compile("7 h 59 min left|8 h left"))
    alice.mark()

    card.get_by_role("button", name="Extend by 2 h").click()
    expect(card.locator(".gq-mid")).to_have_text(re.compile("9 h 59 min left|10 h left"))
    card.get_by_role("button", name="Extend by 2 h").click()
    expect(card).to_contain_text("Extended by 4 h, the most that is possible.")
    expect(card.get_by_role("button", name="Extend")).to_have_count(0)

    confirm(card, "Restart")
    expect(card.locator(".gq-chip")).to_have_text(re.compile("Restarting|Starting"))
    expect(card.locator(".gq-chip")).to_have_text("Running")
    until(lambda: (alice.visitor.job() or {}).get("launch") == 2, within=20, what="it was launched anew")
    assert alice.visitor.job_is("running")["placement"] == before["placement"]

    assert (card.get_by_role("link", name="Open").get_attribute("href") or "").endswith(f"/user/{alice.name}/")
    confirm(card, "Stop")
    expect(page.locator(f"#ended-{before['id']}")).to_contain_text("Stopped by you")
    expect(page.locator("#cards")).to_contain_text("Nothing of yours runs or waits")
    assert alice.is_same_page()
    assert len(streams) == 1


def test_a_waiting_request_is_cancelled_and_others_are_not_named(people: People) -> None:
    """The queue shows places and sizes of all, names of one's own only."""
    holder = people.holds(4)
    other = people.waits(2, name="secret project")
    bob = people.reader()
    bob.visitor.start("gpu1", job_name="churn model")
    job = bob.visitor.job_is("queued")["id"]
    page = bob.jobs()
    card = page.locator(f"#job-{job}")
    expect(card).to_contain_text("2nd of 2")
    expect(page.locator("#queue-rows tr")).to_have_count(2)
    expect(page.locator("#queue-rows tr.gq-own")).to_contain_text("you: churn model")
    for private in (holder.name, other.name, "secret project"):
        expect(page.locator("body")).not_to_contain_text(private)

    confirm(card, "Cancel")

    expect(page.locator("#queue-rows tr")).to_have_count(1)
    expect(page.locator(f"#ended-{job}")).to_contain_text("Cancelled")
    bob.visitor.no_job()
    until(lambda: bob.visitor.server() is None, within=15, what="the Hub let it go")


def test_live_updates_can_be_switched_off_and_stay_off(people: People) -> None:
    """The switch is remembered; what others do then shows after a reload, one's own acts at once."""
    people.holds(4)
    bob = people.reader()
    bob.visitor.start("gpu1")
    job = bob.visitor.job_is("queued")["id"]
    page = bob.jobs()
    page.click("#live")
    page.reload()
    expect(page.locator("#live")).not_to_be_checked()
    streams = streams_of(page)

    people.waits(1)
    page.wait_for_timeout(2000)  # four times as long as an update takes: nothing must come
    expect(page.locator("#queue-rows tr")).to_have_count(1)
    assert not streams
    confirm(page.locator(f"#job-{job}"), "Cancel")
    expect(page.locator(f"#ended-{job}")).to_be_visible()
    expect(page.locator("#queue-rows tr")).to_have_count(1)

    page.click("#live")
    people.waits(1)
    expect(page.locator("#queue-rows tr")).to_have_count(2)


def test_everything_works_without_a_script_by_reloading(people: People) -> None:
    """Buttons post and come back to the page; times are in UTC and say so."""
    alice = people.reader(java_script_enabled=False)
    alice.form()
    alice.start("gpu4", name="plain")
    job = alice.visitor.job_is("running")["id"]
    page = alice.jobs()
    card = page.locator(f"#job-{job}")
    expect(card.locator("h2")).to_have_text("plain")
    expect(card.locator("time").first).to_contain_text("UTC")

    card.get_by_role("button", name="Extend by 2 h").click()
    page.wait_for_url(re.compile(re.escape(PREFIX) + "$"))
    expect(card.locator(".gq-mid")).to_have_text(re.compile("9 h 59 min left|10 h left"))
    confirm(card, "Restart")
    page.wait_for_url(re.compile(re.escape(PREFIX) + "$"))
    until(lambda: (alice.visitor.job() or {}).get("launch") == 2, within=30, what="it was launched anew")
    alice.visitor.job_is("running")
    alice.visitor.start("gpu1", server="two", job_name="second")
    second = alice.visitor.job_is("queued", server="two")["id"]
    page.reload()
    expect(page.locator(f"#job-{second}")).to_contain_text("1st of 1")
    confirm(page.locator(f"#job-{second}"), "Cancel")
    expect(page.locator(f"#ended-{second}")).to_contain_text("Cancelled by you")
    confirm(card, "Stop")
    alice.visitor.no_job()
    page.reload()
    expect(page.locator(f"#ended-{job}")).to_contain_text("Stopped by you")


def test_the_page_warns_before_the_time_is_up(people: People) -> None:
    """A job in its last ten minutes, with what can be done."""
    alice = people.reader()
    alice.visitor.start("gpu1", hours="0.1")
    job = alice.visitor.job_is("running")["id"]

    card = alice.jobs().locator(f"#job-{job}")

    expect(card.locator(".gq-chip")).to_have_text("Ends soon")
    expect(card).to_contain_text("Save your work; files in your home folder stay.")
    card.get_by_role("button", name="Extend by 2 h").click()
    expect(card.locator(".gq-chip")).to_have_text("Running")


def test_a_story_tells_what_happened_and_is_its_owners_alone(people: People) -> None:
    """From asking to the end, in order; somebody else's job is not there."""
    alice, bob = people.reader(), people.reader()
    alice.visitor.start("gpu1", job_name="night run")
    job = alice.visitor.job_is("running")["id"]
    alice.visitor.queue("POST", f"jobs/{job}/stop", body={})
    alice.visitor.no_job()

    said = " ".join(alice.story(job).locator("#main").inner_text().split())
    parts = [
        "night run",
        "Asked for 1 GPU",
        "Your turn. Admitted to dgx1, GPU",
        "Notebook ready.",
        "Stop asked for by you.",
    ]

    assert all(part in said for part in parts), said
    expect(bob.story(job).locator("#title")).to_be_visible()
    expect(bob.page.locator("#main")).not_to_contain_text("night run")


def test_who_is_logged_out_is_told(people: People) -> None:
    """The open page says so within half a minute, and that nothing is lost."""
    alice = people.reader()
    page = alice.jobs()
    expect(page.locator("#counts")).to_contain_text("None running")

    alice.tab().goto("/hub/logout")

    expect(page.locator("#gq-alert")).to_contain_text("You are logged out.")


def test_a_page_that_may_not_follow_says_so_and_asks_by_itself(people: People) -> None:
    """Somebody with very many pages open: the one too many is slower, and nothing else."""
    alice = people.reader()
    page = alice.page
    page.clock.install()
    page.route("**/api/v1/stream*", lambda asked: asked.fulfill(status=429, json={"code": "gpuqueue.streams"}))
    alice.jobs()
    page.clock.fast_forward(5_000)
    expect(page.locator("#gq-link")).to_have_text("Open in too many places: current every half minute")

    alice.visitor.start("gpu1", job_name="seen later")
    alice.visitor.job_is("running")
    page.clock.fast_forward(31_000)

    expect(page.locator("#cards")).to_contain_text("seen later")

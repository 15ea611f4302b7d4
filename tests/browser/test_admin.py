"""What the GPU team does: hold, release, cancel, stop, end, drain; and what the Hub's own admin panel does to jobs."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.services.program import until

from .conftest import People
from .people import Reader


def pick(page: Page, job: int, *, note: str = "") -> None:
    """Pick one waiting job, and write a note."""
    page.check(f"#waiting-{job} input[type=checkbox]")
    page.fill("#note", note)


def act(page: Page, details: str, *, note: str = "") -> None:
    """Open a question, write a note, say yes."""
    page.locator(f"#{details} summary").click()
    page.fill(f"#{details}-note", note)
    page.locator(f"#{details} button[type=submit]").click()


def told(reader: Reader, job: int, *parts: str) -> None:
    """The job's story says all of this."""
    main = reader.story(job).locator("#main")
    for part in parts:
        expect(main).to_contain_text(part)


def test_hold_release_and_cancel_with_notes_that_land_in_the_story(people: People) -> None:
    """The owner's open page follows each, and the note is quoted there as text."""
    people.holds(4)
    bob, dana = people.reader(), people.reader("dana")
    bob.start("gpu1", name="churn model")
    bob.state_is("queued")
    job = (bob.visitor.job() or {})["id"]
    dana.go("/hub/home")
    dana.page.get_by_role("link", name="Queue admin").click()
    page = dana.page
    expect(page.locator(f"#waiting-{job}")).to_contain_text(bob.name)

    pick(page, job, note="please use <b>one</b>")
    page.get_by_role("button", name="Hold").click()
    expect(page.locator(f"#waiting-{job}")).to_contain_text("On hold")
    expect(page.locator(f"#waiting-{job}")).to_contain_text("Held by dana.")
    bob.state_is("held")
    expect(bob.why).to_contain_text("“please use <b>one</b>”")

    pick(page, job)
    page.get_by_role("button", name="Release").click()
    expect(page.locator(f"#waiting-{job}")).not_to_contain_text("On hold")
    bob.state_is("queued")
    expect(bob.place).to_have_text("1st of 1")

    pick(page, job, note="the course is over")
    page.locator("#queue-cancel summary").click()
    page.get_by_role("button", name="Yes, cancel them").click()
    expect(page.locator(f"#ended-{job}")).to_contain_text("by dana, the course is over")
    bob.state_is("cancelled")
    expect(bob.why).to_contain_text("the course is over")
    told(
        bob,
        job,
        "On hold by dana.",
        "please use <b>one</b>",
        "Released by dana",
        "Cancelled by dana.",
        "the course is over",
    )


def test_a_running_job_is_stopped_and_all_of_a_user_ended(people: People) -> None:
    """With the admin's name and note in the stories."""
    alice, bob, dana = people.holds(2), people.reader(), people.reader("dana")
    bob.visitor.start("gpu2")
    running = bob.visitor.job_is("running")["id"]  # first: two requests at once may come in either order
    bob.visitor.start("gpu1", server="two")
    waiting = bob.visitor.job_is("queued", server="two")["id"]
    own = (alice.job() or {})["id"]
    page = dana.admin()
    expect(page.locator(f"#holder-{own}")).to_contain_text("dgx1, GPUs 0 and 1")

    act(page, f"stop-holder-{own}", note="needs a fan")
    expect(page.locator(f"#ended-{own}")).to_contain_text("by dana, needs a fan")
    alice.no_job()

    expect(page.locator(f"#person-{bob.name}")).to_contain_text("jobs hold 3 GPUs")
    act(page, f"end-person-{bob.name}", note="account closed")
    expect(page.locator(f"#ended-{running}")).to_contain_text("account closed")
    expect(page.locator(f"#ended-{waiting}")).to_contain_text("account closed")
    expect(page.locator(f"#person-{bob.name}")).to_have_count(0)
    until(lambda: not bob.visitor.queue("GET", "jobs").json()["jobs"], within=15, what="both have ended")
    told(bob, running, "Stop asked for by dana.", "account closed")


def test_a_drained_server_takes_nothing_new_until_it_is_taken_back(people: People) -> None:
    """The request waits and is told why; then it starts."""
    bob, dana = people.reader(), people.reader("dana")
    page = dana.admin()
    act(page, "do-node-dgx1", note="new fans")
    expect(page.locator("#server-node-dgx1")).to_contain_text("“new fans”")
    bob.start("gpu1")
    bob.state_is("queued")
    expect(bob.why).to_contain_text("drain")

    page.get_by_role("button", name="Take back").click()

    bob.arrives()


def test_the_hubs_panel_stops_a_running_server_and_stop_all_ends_what_waits(people: People) -> None:
    """Stopping there ends the job rightly; what it cannot stop one by one, its Stop All does."""
    alice, dana = people.reader(), people.reader("dana")
    alice.visitor.start("gpu4")
    running = alice.visitor.job_is("running")["id"]
    alice.visitor.start("gpu1", server="two")
    alice.visitor.job_is("queued", server="two")
    bob = people.waits(2)
    waiting = (bob.job() or {})["id"]
    alice.jobs()

    dana.go("/hub/admin")
    page = dana.page
    row = page.locator("tr", has=page.get_by_text(alice.name, exact=True)).first
    row.get_by_role("button", name="Stop Server").click()

    ended = alice.page.locator(f"#ended-{running}")
    expect(ended).to_contain_text("Stopped")
    alice.visitor.job_is("running", server="two")
    bob.job_is("running")
    until(lambda: bob.server() and bob.server()["ready"], within=20, what="the Hub has it ready")  # type: ignore[index]
    carol = people.waits(4)
    last = (carol.job() or {})["id"]
    page.reload()
    page.get_by_role("button", name=re.compile("^Stop All$")).click()
    page.get_by_role("button", name=re.compile("Stop All|Yes|OK")).last.click()

    for visitor, job in ((bob, waiting), (carol, last)):
        visitor.no_job()
        assert visitor.queue("GET", f"jobs/{job}").json()["job"]["end"] in ("stopped", "cancelled")
    alice.visitor.no_job(server="two")


def test_who_is_no_admin_does_not_see_the_page(people: People) -> None:
    alice = people.reader()

    answer = alice.go("/services/gpuqueue/admin")

    assert answer is not None
    assert answer.status == 403
    expect(alice.page.locator("[role=alert]").last).to_contain_text("Only the GPU team sees this page.")
    expect(alice.page.get_by_role("link", name="Queue admin")).to_have_count(0)

"""Every page in every state: no barrier that axe-core finds, light and dark; nothing to scroll sideways at 320 px."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.services.chromium import axe_script, too_wide
from tests.services.program import until
from tests.services.site import Site

from .conftest import People
from .people import Reader

SHOTS = Path("build/tests/pages")
NARROW, WIDE = {"width": 320, "height": 740}, {"width": 1280, "height": 900}
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations.map((found) =>
  `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


class Look:
    """Looks at a page in every way, and collects what is wrong."""

    def __init__(self) -> None:
        self.axe = axe_script()
        self.wrong: list[str] = []
        SHOTS.mkdir(parents=True, exist_ok=True)

    def at(self, reader: Reader, name: str) -> None:
        """Look at it wide and narrow, light and dark."""
        page, faults = reader.page, len(reader.faults)
        page.evaluate(self.axe)
        for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
            where = f"{name}, {size['width']} px, {scheme}"
            self.wrong += [f"{where}: {found}" for found in page.evaluate(RUN)]
            if size is NARROW and (found := too_wide(page)):
                self.wrong.append(f"{where}: scrolls sideways, {found}")
            if (size is WIDE) == (scheme == "light"):
                page.screenshot(path=SHOTS / f"{name}-{'wide' if size is WIDE else 'narrow'}.png", full_page=True)
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.wait_for_timeout(100)  # what the browser has to say arrives a little later
        # axe-core and screenshots bring styles of their own, which the page's policy refuses
        del reader.faults[faults:]


@pytest.fixture
def look() -> Iterator[Look]:
    it = Look()
    yield it
    assert not it.wrong, "\n".join(it.wrong)


def test_the_ways_in(people: People, look: Look) -> None:
    """Empty pages, the form, a refusal, what is not there, what one may not see.

    The login page is JupyterHub's own, contrast, landmarks, width and all: what is changed there is changed there.
    """
    alice = people.reader()
    page = alice.page
    alice.jobs()
    look.at(alice, "jobs-empty")
    alice.form()
    look.at(alice, "form-free")
    page.check("#profile-item-free")
    page.select_option("#profile-option-free--gpus", "unlisted-choice")
    page.locator("#room-table summary").click()
    look.at(alice, "form-options")
    page.check("#profile-item-gpu1")
    page.fill("#gpuqueue-hours", "99")
    page.evaluate("document.getElementById('spawn_form').noValidate = true")  # the browser would not even send it
    page.click("#gq-start")
    expect(page.locator("#gq-refused a")).to_have_count(1)
    look.at(alice, "form-refused")
    alice.admin()
    look.at(alice, "error-403")
    alice.story(999999)
    look.at(alice, "error-404")
    alice.go(f"/hub/spawn-pending/{alice.name}")
    look.at(alice, "not-running")
    alice.go("/hub/nothing")
    look.at(alice, "hub-404")
    zoe = people.stranger()
    zoe.go("/hub/login")
    look.at(zoe, "login")
    zoe.page.fill("#username_input", zoe.name)
    zoe.page.fill("#password_input", "wrong")
    zoe.page.click("#login_submit")
    expect(zoe.page.locator(".login_error")).to_be_visible()
    look.at(zoe, "login-wrong")


def test_the_waiting_page_in_all_its_states(people: People, look: Look, mood: Callable[[str], None]) -> None:
    """Waiting, on hold, starting, failing, failed, cancelled, with an open question."""
    alice = people.holds(4)
    people.waits(2)
    bob = people.reader()
    page = bob.start(
        "gpu1", name="a name that is long enough to need more than one line on a phone, as people do write"
    )
    bob.state_is("queued")
    expect(bob.place).to_have_text("2nd of 2")
    look.at(bob, "waiting-queued")
    page.locator("#gq-cancel summary").click()
    look.at(bob, "waiting-asked")
    page.keyboard.press("Escape")
    _team(people, "hold", bob, "please use <b>one</b> GPU")
    bob.state_is("held")
    look.at(bob, "waiting-held")
    _team(people, "release", bob)
    bob.state_is("queued")

    mood("mute")
    alice.stop()
    bob.state_is("starting")
    expect(page.locator("#gq-steps")).to_be_visible()
    look.at(bob, "waiting-starting")
    page.locator("#gq-cancel summary").click()
    page.click("#gq-cancel-yes")
    bob.state_is("cancelled")
    look.at(bob, "waiting-cancelled")
    bob.visitor.all_ended()
    mood("dies")
    bob.start("gpu1")
    bob.state_is("failed")
    look.at(bob, "waiting-failed")
    page.reload()
    look.at(bob, "not-running-failed")


def test_a_start_that_is_days_away(people: People, look: Look) -> None:
    """The day has to be said too, and fits everywhere."""
    alice, bob, dana = people.visitor(), people.reader(), people.reader("dana")
    alice.start("gpu4", hours="24")
    alice.job_is("running")
    for _ in range(2):
        later = people.visitor()
        later.start("gpu4", hours="24")
        later.job_is("queued")
    page = bob.start("gpu1")
    bob.state_is("queued")
    expect(bob.place).to_have_text("3rd of 3")
    look.at(bob, "waiting-far")
    bob.form("two")
    expect(page.locator("#gq-chosen")).to_contain_text("at the latest")
    look.at(bob, "form-far")
    bob.jobs()
    expect(page.locator("#queue-rows tr")).to_have_count(3)
    look.at(bob, "jobs-far")
    expect(dana.admin().locator("#waiting-rows tr")).to_have_count(3)
    look.at(dana, "admin-far")


def test_what_is_seen_while_something_is_away(
    people: People, look: Look, house: Site, hold_back: Callable[[bool], None]
) -> None:
    """Queue away, Hub away, request not handed back yet, form with a request that waits, service without its Hub."""
    people.holds(4)
    bob = people.reader()
    page = bob.start("gpu1", server="two")
    bob.state_is("queued")
    house.manager.kill()
    bob.state_is("away")
    look.at(bob, "waiting-away")
    bob.form()
    look.at(bob, "form-away")
    bob.jobs()
    expect(page.locator("#gq-title")).to_have_text("The queue does not answer")
    look.at(bob, "jobs-queue-away")
    hold_back(True)
    house.manager.start()
    house.wait()
    expect(page.locator("#cards")).to_be_visible()  # by itself
    bob.waiting_page("two")
    bob.state_is("queued")
    page.clock.install()
    bob.waiting_page("two")
    bob.state_is("queued")
    house.hub.kill()
    page.clock.fast_forward(19_000)
    bob.state_is("lost")
    look.at(bob, "waiting-lost")
    bob.jobs()
    expect(page.locator("#gq-notices")).to_contain_text("JupyterHub is not connected to the queue.")
    look.at(bob, "jobs-hub-away")
    house.hub.start()
    house.wait()
    until(lambda: bob.go(bob.pending_path("two")), within=10, what="the page")
    look.at(bob, "not-known")
    bob.go(f"/user/{bob.name}/two/lab")
    expect(page.locator("#gq-title")).to_have_text("Your request waits")
    look.at(bob, "not-running-waits")
    bob.form("two")
    page.check("#profile-item-gpu2")
    expect(page.locator("#gq-replaces")).to_be_visible()
    look.at(bob, "form-waits")


def test_my_jobs_stories_and_the_admin_page(people: People, look: Look) -> None:
    """Running, ending soon, waiting, held, ended; questions open; notes; a drained server."""
    alice, dana = people.reader(), people.reader("dana")
    alice.visitor.start("gpu2", job_name="attention maps")
    running = alice.visitor.job_is("running")["id"]
    alice.visitor.start("gpu1", server="two", hours="0.1", job_name="ends soon")
    alice.visitor.job_is("running", server="two")
    alice.visitor.start("gpu3", server="three", job_name="long " * 40)
    waiting = alice.visitor.job_is("queued", server="three")["id"]
    carol = people.waits(1)
    _team(people, "hold", carol, "a note of the GPU team")
    gone = people.waits(4)
    ended = (gone.job() or {})["id"]
    gone.queue("POST", f"jobs/{ended}/cancel", body={})
    page = alice.jobs()
    expect(page.locator("#cards > li")).to_have_count(3)
    look.at(alice, "jobs")
    page.locator(f"#job-{running} details summary").first.click()
    look.at(alice, "jobs-asked")
    alice.story(waiting)
    look.at(alice, "story-waiting")
    dana.visitor.queue("POST", "nodes/dgx1/drain", body={"note": "new fans"})
    admin = dana.admin()
    expect(admin.locator("#waiting-rows tr")).to_have_count(2)
    look.at(dana, "admin")
    admin.locator(f"#person-{alice.name} summary").click()
    look.at(dana, "admin-asked")
    dana.visitor.queue("POST", "nodes/dgx1/undrain", body={})
    dana.story(ended)
    look.at(dana, "story-ended")


def _team(people: People, act: str, owner: object, note: str = "") -> None:
    """The GPU team acts on somebody's waiting job."""
    visitor = owner.visitor if isinstance(owner, Reader) else owner
    job = visitor.job() or {}  # type: ignore[attr-defined]
    answer = people.visitor("dana").queue("POST", f"jobs/{job['id']}/{act}", body={"note": note})
    assert answer.ok, answer.text

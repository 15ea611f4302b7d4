"""Times are the reader's: in another zone, and over a change to summer time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Route, expect

from gpuqueue_spawner.spawner.form import TEMPLATES
from tests.services.site import PREFIX
from tests.services.waits import LENGTHS, PLACES, SHORT, WAITS

from .conftest import People

STAMP = re.compile(r'datetime="(\d{4}-[^"]+)"')
WORDS = TEMPLATES / "gpuqueue-words.js"
ZONES = ["Pacific/Auckland", "America/St_Johns"]
#: An hour and a half before clocks in Berlin go from 02:00 to 03:00.
BEFORE_SUMMER = datetime.fromisoformat("2027-03-27T23:30:00+00:00")


@pytest.mark.parametrize("zone", ZONES)
def test_times_are_those_of_the_readers_zone(people: People, zone: str) -> None:
    """The server prints UTC; the page shows what a clock on the reader's wall shows."""
    people.holds(4)
    bob = people.reader(timezone_id=zone)
    bob.start("gpu1")
    bob.state_is("queued")
    job = bob.visitor.job() or {}
    asked = datetime.fromtimestamp(job["queued"], ZoneInfo(zone))
    start = datetime.fromtimestamp(-(-job["start"] // 300) * 300, ZoneInfo(zone))  # rounded up to five minutes

    expect(bob.page.locator("#gq-fact-queued time")).to_have_text(f"{asked:%H:%M}")
    expect(bob.page.locator("#gq-when-big time")).to_have_text(re.compile(rf"(^|, ){start:%H:%M}$"))
    expect(bob.jobs().locator(f"#job-{job['id']} time").first).to_have_text(f"{asked:%H:%M}")
    expect(bob.page.locator("#queue-rows time").first).to_have_text(f"{asked:%H:%M}")


@pytest.mark.parametrize(
    ("script", "cases"),
    [
        ("atMost(it)", WAITS),
        ("duration(it)", LENGTHS),
        ("anyMoment(it)", SHORT),
        ("ordinal(it)", PLACES),
    ],
)
def test_the_pages_scripts_word_numbers_as_the_queue_does(browser: Browser, script: str, cases: list[Any]) -> None:
    """A wait is one wait, whoever says it."""
    with browser.new_context() as context:
        page = context.new_page()
        said = page.evaluate(
            f"(all) => {{ {WORDS.read_text()}; return all.map((it) => {script}) }}", [n for n, _ in cases]
        )

    assert said == [words for _, words in cases]


def test_releases_close_to_each_other_are_one_circle(browser: Browser) -> None:
    """Each on top of the other, only the last would be read."""
    releases = [{"at": 100, "gpus": 1}, {"at": 11, "gpus": 3}, {"at": 10, "gpus": 2}]
    with browser.new_context() as context:
        drawing = WORDS.with_name("gpuqueue-drawing.js").read_text()
        drawn = context.new_page().evaluate(f"(all) => {{ {drawing}; return together(all, 20) }}", releases)

    assert [(each["at"], each["gpus"]) for each in drawn] == [(11, 5), (100, 1)]


def shifted(by: timedelta) -> Callable[[Route], None]:
    """Move every time that the service prints."""

    def moved(found: re.Match[str]) -> str:
        return f'datetime="{(datetime.fromisoformat(found[1]) + by).isoformat()}"'

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=STAMP.sub(moved, response.text()))

    return answer


def test_a_lease_over_the_change_to_summer_time_ends_at_the_right_hour(people: People) -> None:
    """Eight hours after half past midnight it is half past nine: an hour is missing in between."""
    alice = people.reader(timezone_id="Europe/Berlin")
    alice.visitor.start("gpu1")
    job = alice.visitor.job_is("running")
    by = BEFORE_SUMMER + timedelta(seconds=20) - datetime.fromtimestamp(job["started"], ZoneInfo("UTC"))
    alice.context.route(re.compile(re.escape(PREFIX) + r"(\?.*)?$"), shifted(by))
    alice.page.clock.set_fixed_time(BEFORE_SUMMER)

    times = alice.jobs().locator(f"#job-{job['id']} time")

    expect(times.filter(has_text="00:30").first).to_be_visible()
    expect(times.filter(has_text="09:30").first).to_be_visible()
    expect(times.filter(has_text="08:30")).to_have_count(0)


def test_the_waiting_page_counts_over_the_change_to_summer_time(people: People) -> None:
    """Half past midnight plus three hours is half past four, and tomorrow begins at midnight all the same."""
    people.holds(4)
    bob = people.reader(timezone_id="Europe/Berlin")
    now = BEFORE_SUMMER.timestamp()
    event = next(told for told in _progress(bob) if told.get("place"))

    def answer(route: Route) -> None:
        told = {**event, "queued": now - 3600, "start": now + 3 * 3600, "moved": now - 60}
        route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(told)}\n\n")

    bob.context.route(re.compile("/progress"), answer)
    bob.page.clock.set_fixed_time(BEFORE_SUMMER)
    page = bob.waiting_page()

    expect(page.locator("#gq-when-big")).to_have_text("04:30")
    expect(page.locator("#gq-when-words")).to_contain_text("In about 3 h.")
    expect(page.locator("#gq-fact-queued time")).to_have_text("yesterday, 23:30")
    expect(page.locator("#gq-proof time")).to_have_text("00:29")


def _progress(bob: object) -> list[dict[str, object]]:
    visitor = bob.visitor  # type: ignore[attr-defined]
    visitor.start("gpu1")
    visitor.job_is("queued")
    events = []
    for event in visitor.progress():
        events.append(event)
        if event.get("place"):
            break
    return events

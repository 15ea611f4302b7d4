"""The visitor that a demo runs for the tour: finds out how to see the site, takes every step, says what came of it.

Knows in which order and with what. The steps: steps.py. Who starts the demo, and looks afterwards: command.py.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .. import chromium
from ..supervisor import Printer
from . import http
from .steps import Person, Site, Tour, Wrong

LABEL = "tour"
Faults = tuple[type[Exception], ...]  #: what it may raise when something is not as it should be


def main() -> int:
    """Take the tour; 0 if every step held."""
    private, url = Path(os.environ["GPUQUEUE_DEMO"]), os.environ["GPUQUEUE_URL"]
    shots = Path(sys.argv[1]) if sys.argv[1:] else None  # None: over HTTP, also where there is a browser
    printer = Printer()
    described = json.loads((private / "site.json").read_text())
    gpus = described["real_gpus"] if described["gpus"] is None else described["gpus"]
    if not gpus:
        printer.say(LABEL, "there is no GPU to queue for: try GPUS=4")
        return 1
    passwords = {name: each["password"] for name, each in json.loads((private / "accounts.json").read_text()).items()}
    site = Site(url=url, private=private, gpus=gpus)
    without = _without(shots)
    printer.say(LABEL, without or f"in headless Chromium, pictures in {shots}")
    visit = _over_http(site, passwords) if without or shots is None else _in_browser(site, passwords, shots)
    with visit as (people, faults):
        return _take(Tour(site, people.__getitem__), people, faults, printer)


def _without(shots: Path | None) -> str:
    """Why there is no browser, in words; empty: there is one."""
    if shots is None:
        return "over HTTP, as asked: no pictures"
    problem = chromium.problem()
    return f"{problem}: over HTTP, no pictures" if problem else ""


@contextmanager
def _over_http(site: Site, passwords: Mapping[str, str]) -> Iterator[tuple[Mapping[str, Person], Faults]]:
    """Everybody, and what may go wrong with them."""
    people = {name: http.HttpPerson(site.url, name, each) for name, each in passwords.items()}
    yield people, (Wrong, *http.FAULTS)


@contextmanager
def _in_browser(site: Site, passwords: Mapping[str, str], shots: Path) -> Iterator[tuple[Mapping[str, Person], Faults]]:
    """Everybody, and what may go wrong with them."""
    from playwright.sync_api import expect, sync_playwright  # the package needs it here only

    from . import browser as pages

    path = chromium.executable()
    assert path is not None
    expect.set_options(timeout=pages.PATIENCE_MS)
    shots.mkdir(parents=True, exist_ok=True)
    for old in shots.glob("*.png"):
        old.unlink()
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright, path)
        try:
            yield pages.people(browser, site.url, passwords, shots), (Wrong, *pages.FAULTS)
        finally:
            browser.close()


def _take(tour: Tour, people: Mapping[str, Person], faults: Faults, printer: Printer) -> int:
    """One line a step, and an end at the first one that does not hold."""
    for number, (what, step) in enumerate(tour.steps(), 1):
        began = time.monotonic()
        try:
            words = step()
        except faults as fault:
            printer.say(LABEL, f"{number}. {what}: FAILED: {' '.join(str(fault).split())[:600]}")
            for name, person in people.items():
                _last_look(person, f"failed-{name}", faults)
            return 1
        printer.say(LABEL, f"{number}. {what}: {words} ({time.monotonic() - began:.0f} s)")
    return 0


def _last_look(person: Person, name: str, faults: Faults) -> None:
    try:
        person.shot(name)
    except faults:
        return


if __name__ == "__main__":
    sys.exit(main())

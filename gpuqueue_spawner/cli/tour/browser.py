"""A person of the tour with a browser: real clicks in a real Chromium, a picture of what is seen.

Knows the pages by their ids, and JupyterLab by its classes. What is done in which order: steps.py.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, TimeoutError, expect

from .steps import Wait, Wrong

PATIENCE_MS = 60_000
NOTEBOOK_MS = 180_000  # a notebook and JupyterLab in the browser, on a machine that has other work
AGAIN_S = 1.0
SIZE = {"width": 1280, "height": 860}

numbers = itertools.count(1)


class BrowserPerson:
    """Somebody with a browser context of their own."""

    def __init__(self, browser: Browser, site: str, name: str, password: str, shots: Path) -> None:
        self.name, self.site, self._password, self._shots = name, site, password, shots
        context = browser.new_context(base_url=site, viewport=SIZE, reduced_motion="reduce")  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()

    def log_in(self) -> None:
        """By the Hub's form."""
        self._go("/hub/login")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", self._password)
        self.page.click("#login_submit")
        self.page.wait_for_url(lambda url: "/hub/login" not in url)

    def ask(self, gpus: int, *, name: str) -> None:
        """Choose a number of GPUs, or type it where it is no choice."""
        page = self.page
        self._go("/hub/spawn")
        while not page.locator("#profile-item-gpu").count():  # the last notebook is still ending
            time.sleep(AGAIN_S)
            self._go("/hub/spawn")
        page.check("#profile-item-gpu")
        options = "#profile-option-gpu--gpus"
        listed = page.locator(f"{options} option[value=gpu{gpus}]").count()
        page.select_option(options, f"gpu{gpus}" if listed else "unlisted-choice")
        if not listed:
            page.fill(f"{options}--unlisted-choice", str(gpus))
        page.fill("#gpuqueue-name", name)
        self.shot(f"form-of-{self.name}")
        page.click("#gq-start")
        page.wait_for_url(re.compile("/hub/spawn-pending/|/user/"))

    def arrives(self) -> None:
        """JupyterLab is open."""
        self.page.wait_for_url(re.compile(f"/user/{self.name}/lab"), timeout=NOTEBOOK_MS)
        expect(self.page.locator("#jp-main-dock-panel")).to_be_visible(timeout=NOTEBOOK_MS)

    def wait(self) -> Wait:
        """Place, estimate and reason, once the page shows them."""
        page = self.page
        expect(page.locator("#gq-hero")).to_have_attribute("data-state", "queued", timeout=NOTEBOOK_MS)
        expect(page.locator("#gq-when-big time")).to_be_visible()
        place = re.fullmatch(r"(\d+)\w\w of (\d+)", page.inner_text("#gq-place").strip())
        if place is None:
            raise Wrong(f"no place is shown: {page.inner_text('#gq-place')!r}")
        return Wait(
            place=int(place[1]),
            of=int(place[2]),
            start=page.inner_text("#gq-when-big"),
            why=_line(page.inner_text(".gq-hero-why")),
        )

    def is_told_to_wait(self) -> str:
        """The page that was open when the Hub was killed: as it is until it has an answer again.

        A Hub that is back before the page misses it leaves the words as they were, and they say it too.
        """
        page = self.page
        before = page.get_attribute("#gq-updated", "datetime")
        end, said = time.monotonic() + PATIENCE_MS / 1000, ""
        while page.get_attribute("#gq-updated", "datetime") == before:
            said = f"{page.inner_text('#gq-eyebrow')}. {page.inner_text('#gq-foot')}"
            if page.get_attribute("#gq-hero", "data-state") == "lost":
                said = f"{page.inner_text('#gq-eyebrow')}. {_line(page.inner_text('.gq-hero-why'))}"
            if time.monotonic() > end:
                raise Wrong(f"the page has no answer; it says: {said}")
            time.sleep(AGAIN_S / 4)
        if "kept" not in said:
            raise Wrong(f"while the Hub was away the page said: {said}")
        return said

    def is_told_of_the_end(self) -> str:
        """The page that was open when the request was cancelled."""
        expect(self.page.locator("#gq-hero")).to_have_attribute("data-state", "cancelled")
        return _line(self.page.inner_text(".gq-hero-why"))

    def run(self, code: str) -> str:
        """In a new notebook of JupyterLab: type it, press Shift and Enter, read what stands below the cell."""
        page = self.page
        self._go(f"/user/{self.name}/lab?reset")  # without what an earlier notebook had open
        page.locator(".jp-LauncherCard[data-category=Notebook]").first.click(timeout=NOTEBOOK_MS)
        cell = page.locator(".jp-Notebook .jp-CodeCell").first
        cell.locator(".cm-content").click()
        page.keyboard.insert_text(code)
        expect(page.locator(".jp-NotebookPanel-toolbar [data-status=idle]").first).to_be_visible(timeout=NOTEBOOK_MS)
        page.keyboard.press("Shift+Enter")
        printed = cell.locator(".jp-OutputArea-output pre").first
        expect(printed).to_be_visible(timeout=NOTEBOOK_MS)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=NOTEBOOK_MS)
        return printed.inner_text()

    def stop(self, name: str) -> None:
        """By the button on its card, and yes."""
        self._go("/services/gpuqueue/")
        card = self.page.locator(".gq-job", has=self.page.get_by_role("heading", name=name))
        question = card.locator("details", has=self.page.locator("summary", has_text="Stop"))
        question.locator("summary").click()
        question.get_by_role("button", name="Yes, stop it").click()
        expect(self.page.locator("#ended-rows li", has_text=name).first).to_contain_text("Stopped by you")

    def queue(self) -> list[str]:
        """By the link in the Hub's navigation."""
        self._go("/hub/home")
        self.page.get_by_role("link", name="Queue admin").click()
        expect(self.page.locator("#waiting-words")).to_be_visible()
        rows = self.page.locator("#waiting-rows tr").all()
        return [_line(" ".join(row.locator("th, td:not(.gq-pickcell)").all_inner_texts())) for row in rows]

    def drop(self, name: str, *, note: str) -> None:
        """Pick it, write the note, cancel, and yes."""
        page = self.page
        page.locator("#waiting-rows tr", has_text=name).locator("input[type=checkbox]").check()
        page.fill("#note", note)
        page.locator("#queue-cancel summary").click()
        page.get_by_role("button", name="Yes, cancel them").click()
        expect(page.locator("#ended-rows tr", has_text=name).first).to_contain_text(note)

    def shot(self, name: str) -> None:
        """As a PNG, numbered in the order of the tour."""
        self.page.screenshot(path=self._shots / f"{next(numbers):02}-{name}.png")

    def _go(self, path: str) -> None:
        """Open a page; the Hub may just be coming back."""
        for _ in range(int(PATIENCE_MS / 1000 / AGAIN_S)):
            answer = self.page.goto(path)
            if answer is None or answer.status < 500:
                return
            time.sleep(AGAIN_S)
        raise Wrong(f"{path} does not answer")


#: What playwright raises when a page does not do what it should.
FAULTS = (Error, TimeoutError, AssertionError)


def people(browser: Browser, site: str, passwords: Mapping[str, str], shots: Path) -> Mapping[str, BrowserPerson]:
    """Everybody of the tour."""
    return {name: BrowserPerson(browser, site, name, password, shots) for name, password in passwords.items()}


def _line(text: str) -> str:
    return " ".join(text.split())

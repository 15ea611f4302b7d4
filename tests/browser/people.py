"""A person with a browser: logs in, fills the form, reads the pages. Knows their parts by id, and no test."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Locator, Page, Response, expect

from tests.services.chromium import PATIENCE_MS
from tests.services.site import PASSWORD, PREFIX
from tests.services.visitor import Visitor

REFUSED_BY_POLICY = re.compile("Content Security Policy", re.I)


class Reader:
    """One person with a browser context of their own, and one page open in it."""

    def __init__(self, visitor: Visitor, browser: Browser, **context: Any) -> None:
        self.visitor, self.site, self.name = visitor, visitor.site, visitor.name
        self.context = browser.new_context(
            base_url=self.site.url, **{"viewport": {"width": 1280, "height": 900}, **context}
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.faults: list[str] = []
        self.page = self.tab()

    def tab(self) -> Page:
        """Open another page."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._listen(page, said.text))
        return page

    def _listen(self, page: Page, text: str) -> None:
        if REFUSED_BY_POLICY.search(text):
            self.faults.append(f"{page.url}: {text}")

    def close(self) -> None:
        """Close the browser; what runs or waits goes on."""
        self.context.unroute_all(behavior="ignoreErrors")  # an open page may just be asking through one
        self.context.close()

    # ---- ways ------------------------------------------------------------------------------------------------------

    def log_in(self) -> Reader:
        """Log in by the Hub's form."""
        self.go("/hub/login")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", PASSWORD)
        self.page.click("#login_submit")
        self.page.wait_for_url(lambda url: "/hub/login" not in url)
        return self

    def go(self, path: str) -> Response | None:
        """Open a page of the site."""
        return self.page.goto(path)

    def form(self, server: str = "") -> Page:
        """Open the form of a server."""
        self.go(f"/hub/spawn/{self.name}/{quote(server)}" if server else "/hub/spawn")
        expect(self.page.locator("#gq-start")).to_be_visible()
        return self.page

    def start(self, profile: str, *, name: str = "", server: str = "") -> Page:
        """Fill the form and press Start."""
        page = self.form(server)
        page.check(f"#profile-item-{profile}")
        if name:
            page.fill("#gpuqueue-name", name)
        page.click("#gq-start")
        return page

    def waiting_page(self, server: str = "") -> Page:
        """Open the page of a server that starts."""
        self.go(self.pending_path(server))
        return self.page

    def pending_path(self, server: str = "") -> str:
        """Where the page of a server that starts is."""
        return f"/hub/spawn-pending/{self.name}" + (f"/{quote(server)}" if server else "")

    def jobs(self) -> Page:
        """Open My jobs."""
        self.go(PREFIX)
        return self.page

    def admin(self) -> Page:
        """Open the admin page."""
        self.go(PREFIX + "admin")
        return self.page

    def story(self, job: int) -> Page:
        """Open the story of a job."""
        self.go(f"{PREFIX}jobs/{job}")
        return self.page

    # ---- the waiting page ------------------------------------------------------------------------------------------

    @property
    def place(self) -> Locator:
        """ "2nd of 3"."""
        return self.page.locator("#gq-place")

    @property
    def why(self) -> Locator:
        """The reason in words."""
        return self.page.locator(".gq-hero-why")

    def state_is(self, state: str, *, within: float = PATIENCE_MS / 1000) -> None:
        """Wait until the page shows this state."""
        expect(self.page.locator("#gq-hero")).to_have_attribute("data-state", state, timeout=within * 1000)

    def arrives(self, server: str = "") -> None:
        """Wait until the page has opened the notebook by itself."""
        path = f"/user/{self.name}/" + (f"{quote(server)}/" if server else "")
        self.page.wait_for_url(re.compile(re.escape(path)))
        expect(self.page.locator("body")).to_contain_text("tiny")

    # ---- "without a reload" ----------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Leave a mark in the open page, which a reload would wipe out."""
        self.page.evaluate("window.sameAsBefore = true")

    def is_same_page(self) -> bool:
        """Whether the page has not been loaded again since mark()."""
        return bool(self.page.evaluate("window.sameAsBefore === true"))

"""A real Chromium for tests, and axe-core, which looks for barriers in a page that it shows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from gpuqueue_spawner.cli import chromium as programs

from . import MissingProgram

PATIENCE_MS = 30_000  # a page on a busy machine with two cores, and a restart of a Hub meanwhile
#: How far something reaches over the right edge, and what it is. The Hub's own bar is the Hub's.
TOO_WIDE = """() => {
  const edge = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= edge) return "";
  const all = [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > edge + 1);
  const culprits = all.slice(-2).map((each) => each.outerHTML.slice(0, 160)).join(" | ");
  return `${document.documentElement.scrollWidth} px: ${culprits}`;
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; people get contexts of their own in it."""
    path = programs.executable()
    if path is None:
        raise MissingProgram("chromium", programs.PACKAGE)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = programs.launch(playwright, path)
        try:
            yield browser
        finally:
            browser.close()


def too_wide(page: Page) -> str:
    """What makes a page scroll sideways as wide as it is now; empty: nothing does."""
    return str(page.evaluate(TOO_WIDE))


def axe_script() -> str:
    """The source of axe-core."""
    path = Path(os.environ.get("GPUQUEUE_AXE") or "nowhere")
    assert path.is_file(), "GPUQUEUE_AXE names no axe-core: run the tests with `make test`"
    return path.read_text()

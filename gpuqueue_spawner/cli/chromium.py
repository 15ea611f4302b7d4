"""Where Chromium is, and how it is started for a script. For the tour of the demo and for tests; no one else needs it.

Knows Debian's and Google's names of the program. Playwright drives it; its own downloads are not used.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = "chromium"  #: of Debian and Ubuntu
FLAGS = (
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


def executable() -> str | None:
    """Path of the program; None: there is none on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def problem() -> str:
    """Why no script can drive it on this machine, with what would help; empty: it can be driven, it was tried."""
    path = executable()
    if path is None:
        return f"no browser here (Debian, Ubuntu: apt install {PACKAGE})"
    if find_spec("playwright") is None:
        return "playwright is not installed (pip install 'gpuqueue-spawner[tour]')"
    from playwright.sync_api import sync_playwright  # the package needs it for the tour only

    try:
        with sync_playwright() as playwright:
            launch(playwright, path).close()
    except Exception as error:  # a driver that does not start raises a plain one
        return f"the browser does not start ({(str(error).splitlines() or [repr(error)])[0]})"
    return ""


def launch(playwright: Playwright, path: str) -> Browser:
    """Start it without a window."""
    return playwright.chromium.launch(executable_path=path, args=[*FLAGS])

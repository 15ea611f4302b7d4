"""Take the pictures of the documentation from a real site: scripts/with test proxy chromium -- python docs/pictures.py

Knows who asks for what in the picture. The site: tests/services/site.py; what people do: tests/services/visitor.py.
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.services.program import until  # noqa: E402
from tests.services.site import PASSWORD, Site, site  # noqa: E402
from tests.services.visitor import Visitor  # noqa: E402

STATIC = ROOT / "docs" / "_static"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--hide-scrollbars"]
SIZES = (("Small notebook", 1), ("Two GPUs", 2), ("Half a server", 4), ("Whole server", 8))


def profile(name: str, gpus: int) -> dict[str, Any]:
    """A profile as a site would write it."""
    return {
        "display_name": name,
        "slug": f"gpu{gpus}",
        "description": f"{gpus} x H100, {gpus * 16} CPUs, {gpus * 128} GB of memory.",
        "kubespawner_override": {
            "cpu_guarantee": gpus * 16,
            "mem_guarantee": f"{gpus * 128}G",
            "extra_resource_guarantees": {"nvidia.com/gpu": str(gpus)},
        },
    }


HUB = f"c.QueueingMixin.profile_list = {[profile(name, gpus) for name, gpus in SIZES]!r}"
MANAGER = """
c.LocalCapacity.gpu_model = "NVIDIA H100 80GB HBM3"
c.LocalCapacity.cpus = 128.0
"""

#: Who runs what: name, GPUs, hours, name of the job.
RUNNING = (
    ("amelie", 4, 1.3, "Speech model, run 12"),
    ("jonas", 2, 3.4, "Protein embeddings"),
    ("priya", 1, 5.2, "Segmentation, ablations"),
)
#: Who waits, in order. The picture is carol's; lena withdraws, so that the others move up.
WAITING = (
    ("lena", 2, 1.0, "Just a look"),
    ("tomas", 4, 6.0, "Climate downscaling"),
    ("ines", 1, 2.0, "Tokenizer study"),
    ("carol", 2, 4.0, "Churn model, fold 3"),
    ("yusuf", 8, 12.0, "Pretraining, stage 2"),
    ("mira", 1, 3.0, "Evaluation"),
)


def ask(at: Site, name: str, gpus: int, hours: float, job: str, state: str) -> None:
    """Let somebody ask for a notebook."""
    person = Visitor(at, name).login()
    person.start(f"gpu{gpus}", hours=hours, job_name=job)
    person.job_is(state, within=60)


def afternoon() -> str:
    """A time zone where it is about two in the afternoon now: people queue by day."""
    west = (datetime.now(UTC).hour - 14) % 24
    return f"Etc/GMT+{west}" if west <= 12 else f"Etc/GMT-{24 - west}"


def open_page(browser: Any, at: Site, name: str) -> Page:
    """A browser in which somebody has logged in."""
    context = browser.new_context(
        viewport={"width": 1160, "height": 720}, color_scheme="light", timezone_id=afternoon()
    )
    page: Page = context.new_page()
    page.goto(at.url + "/hub/login")
    page.fill("#username_input", name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.wait_for_load_state()
    return page


def take(page: Page, url: str, name: str, *, shows: str, height: int | None = None) -> None:
    """One picture of a page, once it shows what it is about; `height`: pixels from its top, None: all of it."""
    page.goto(url)
    page.wait_for_selector(shows)
    page.wait_for_timeout(1500)  # drawings and the first event of the stream
    clip = {"x": 0, "y": 0, "width": 1160, "height": height} if height else None
    page.screenshot(path=STATIC / f"{name}.png", full_page=True, clip=clip)


def main() -> None:
    """Take them all."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with site(gpus=8, hub_more=HUB, manager_more=MANAGER) as at, sync_playwright() as play:
        for who in RUNNING:
            ask(at, *who, state="running")
        for who in WAITING:
            ask(at, *who, state="queued")
        carol = Visitor(at, "carol").login()
        until(lambda: (carol.job() or {}).get("of") == len(WAITING), within=20, what="all are planned")
        Visitor(at, "lena").login().stop()
        until(lambda: (carol.job() or {}).get("place") == 3, within=20, what="carol moved up")
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        queue = at.url + "/services/gpuqueue/"
        take(open_page(browser, at, "carol"), at.url + "/hub/spawn-pending/carol", "waiting", shows="text=3rd")
        take(open_page(browser, at, "jonas"), queue, "jobs", shows="text=Protein embeddings")
        take(open_page(browser, at, "nora"), at.url + "/hub/spawn", "form", shows="text=Half a server")
        take(open_page(browser, at, "dana"), queue + "admin", "admin", shows="text=Climate downscaling", height=1290)
        browser.close()


if __name__ == "__main__":
    main()

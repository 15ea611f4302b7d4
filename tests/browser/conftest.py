"""One site and one browser for all tests; each test has people of its own, each of them a browser context."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.services.chromium import chromium
from tests.services.site import Site, site
from tests.services.visitor import Visitor

from .people import Reader

#: A profile with two options, one of them free numbers, as sites have them besides the fixed ones.
HUB_MORE = """
from pathlib import Path
c.Spawner.cmd = [*c.Spawner.cmd, f"--mood={Path(c.JupyterHub.cookie_secret_file).parent}/mood"]
c.QueueingMixin.profile_list = [
    *c.QueueingMixin.profile_list,
    {
        "display_name": "Free choice", "slug": "free", "description": "As many as you need.",
        "profile_options": {
            "gpus": {
                "display_name": "GPUs",
                "choices": {
                    "one": {
                        "display_name": "1 GPU",
                        "kubespawner_override": {"extra_resource_guarantees": {"nvidia.com/gpu": "1"}},
                    },
                },
                "unlisted_choice": {
                    "enabled": True, "display_name": "Number of GPUs", "validation_regex": r"^[0-9]{1,4}$",
                    "validation_message": "a whole number",
                    "kubespawner_override": {"extra_resource_guarantees": {"nvidia.com/gpu": "{value}"}},
                },
            },
            "cpus": {
                "display_name": "CPUs",
                "choices": {
                    "few": {"display_name": "1 CPU", "default": True, "kubespawner_override": {"cpu_guarantee": 1}},
                    "many": {"display_name": "100 CPUs", "kubespawner_override": {"cpu_guarantee": 100}},
                },
            },
        },
    },
]
"""
#: While a file lies in the site's folder, requests that the Hub forgot are not handed back: a test can look around.
MANAGER_MORE = """
from pathlib import Path
from gpuqueue_spawner.manager import resume
grace, away = resume._grace, Path(c.ManagerApp.data_dir) / "hold_back"
resume._grace = lambda job: 3600.0 if away.exists() else grace(job)
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as it:
        yield it


@pytest.fixture(scope="session")
def house() -> Iterator[Site]:
    """A site with four GPUs."""
    with site(gpus=4, hub_more=HUB_MORE, manager_more=MANAGER_MORE) as it:
        yield it


_names = itertools.count(1)


class People:
    """Makes people that no other test knows, and lets them leave at the end."""

    def __init__(self, house: Site, browser: Browser) -> None:
        self._house, self._browser = house, browser
        self.readers: list[Reader] = []
        self.visitors: list[Visitor] = []

    def visitor(self, name: str = "") -> Visitor:
        """Somebody who needs no browser."""
        visitor = Visitor(self._house, name or f"person{next(_names)}").login()
        self.visitors.append(visitor)
        return visitor

    def stranger(self) -> Reader:
        """Somebody with a browser who has not logged in."""
        reader = Reader(self.visitor(), self._browser)
        self.readers.append(reader)
        return reader

    def reader(self, name: str = "", **context: Any) -> Reader:
        """Somebody with a browser, logged in; `context`: what playwright lets one set."""
        visitor = self.visitor(name)
        reader = Reader(visitor, self._browser, **context)
        self.readers.append(reader)
        return reader.log_in()

    def holds(self, gpus: int) -> Visitor:
        """Somebody whose notebook runs on so many GPUs."""
        visitor = self.visitor()
        visitor.start(f"gpu{gpus}")
        visitor.job_is("running")
        return visitor

    def waits(self, gpus: int, *, name: str = "") -> Visitor:
        """Somebody who waits for so many GPUs."""
        visitor = self.visitor()
        visitor.start(f"gpu{gpus}", **({"job_name": name} if name else {}))
        visitor.job_is("queued")
        return visitor

    def leave(self) -> None:
        """End everything of theirs."""
        for reader in self.readers:
            reader.close()
        for visitor in self.visitors:
            for job in visitor.queue("GET", "jobs").json().get("jobs", []):
                visitor.queue("POST", f"jobs/{job['id']}/stop", body={})
        for visitor in self.visitors:
            visitor.all_ended()


@pytest.fixture
def people(house: Site, browser: Browser) -> Iterator[People]:
    it = People(house, browser)
    yield it
    house.start()  # whatever a test that failed left lying
    it.leave()
    faults = [fault for reader in it.readers for fault in reader.faults]
    assert not faults, "faults in the pages' scripts, or refused by their content security policy"


@pytest.fixture
def hold_back(house: Site) -> Iterator[Callable[[bool], None]]:
    """Call it with True: the queue hands nothing back to the Hub; with False: it does again."""
    path = house.folder / "hold_back"

    def switch(on: bool) -> None:
        path.touch() if on else path.unlink(missing_ok=True)

    yield switch
    switch(False)


@pytest.fixture
def mood(house: Site) -> Iterator[Callable[[str], None]]:
    """Call it with "dies" or "mute": so does every notebook that starts from now on; with "": none does."""
    path = house.folder / "mood"

    def switch(to: str) -> None:
        path.write_text(to) if to else path.unlink(missing_ok=True)

    yield switch
    switch("")

"""JupyterHub's proxy is restarted: what the guide to a front door says of its routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.services.program import until
from tests.services.site import PREFIX, Site, site
from tests.services.visitor import Visitor

LOOKS_EVERY_S = 5


@pytest.fixture(scope="module")
def house() -> Iterator[Site]:
    """A site whose Hub looks at the proxy often."""
    with site(gpus=1, hub_more=f"c.JupyterHub.last_activity_interval = {LOOKS_EVERY_S}") as it:
        yield it


@pytest.fixture(scope="module")
def alice(house: Site) -> Visitor:
    """Somebody with a notebook."""
    visitor = Visitor(house, "alice").login()
    visitor.start("gpu1")
    visitor.job_is("running")
    visitor.token()
    return visitor


def restart_proxy(house: Site) -> None:
    """Kill it, and see that the new one knows no route."""
    house.proxy.kill()
    house.proxy.start()

    def empty() -> bool:
        try:
            return requests.get(house.url + "/hub/api/", timeout=2).status_code == 404
        except requests.ConnectionError:
            return False

    until(empty, within=LOOKS_EVERY_S, what="the new proxy answers and knows no route", story=house.story)


def statuses(house: Site, alice: Visitor) -> tuple[int, int, int]:
    """How the Hub, the queue and the notebook answer through the proxy."""
    headers = {"Authorization": f"token {alice.token()}"}
    paths = ("/hub/api/", f"{PREFIX}health", f"/user/{alice.name}/api/status")
    hub, queue, notebook = (requests.get(house.url + path, headers=headers, timeout=5).status_code for path in paths)
    return hub, queue, notebook


def test_the_hub_tells_a_new_proxy_its_routes_within_last_activity_interval(house: Site, alice: Visitor) -> None:
    """The Hub's, the queue's and every notebook's, without anybody's doing."""
    restart_proxy(house)

    until(
        lambda: statuses(house, alice) == (200, 200, 200),
        within=LOOKS_EVERY_S + 5,
        what="Hub, queue and notebook answer again",
        story=house.story,
    )


def test_an_admin_can_ask_for_it_at_once(house: Site, alice: Visitor) -> None:
    restart_proxy(house)

    assert house.hub_api("POST", "/proxy").ok

    assert statuses(house, alice) == (200, 200, 200)

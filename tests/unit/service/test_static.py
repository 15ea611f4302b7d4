"""Scripts and style sheets: kept by browsers, never run once they are old."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuqueue_spawner.service import templating
from gpuqueue_spawner.service.templating import STATIC
from tests.unit.manager.world import World

from .served import PREFIX, Service

NAMES = sorted(path.name for path in STATIC.iterdir())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    it = Service(World(Path(tmp_path_factory.mktemp("service"))))
    yield it
    it.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_asks_each_time_and_is_sent_only_what_changed(service: Service, name: str) -> None:
    """Also those that another one imports, whose address no page prints."""
    first = service.fetch("GET", f"{PREFIX}static/{name}")

    assert first.code == 200
    assert first.headers["Cache-Control"] == "no-cache"
    assert "Expires" not in first.headers
    again = service.fetch("GET", f"{PREFIX}static/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.code, again.body) == (304, b"")
    upgraded = service.fetch("GET", f"{PREFIX}static/{name}", headers={"If-None-Match": '"of an older release"'})
    assert (upgraded.code, upgraded.body) == (200, first.body)


@pytest.mark.parametrize(
    "name",
    ["css/style.min.css", "favicon.ico", "js/darkmode.js", "components/bootstrap/dist/js/bootstrap.bundle.min.js"],
)
def test_the_hubs_look_is_there_while_the_hub_is_away(service: Service, name: str) -> None:
    """A page that says what is wrong has to be readable."""
    assert service.fetch("GET", f"{PREFIX}static/hub/{name}").code == 200
    assert f"{{{{ site.look }}}}{name}" in (templating.HERE / "templates" / "base.html").read_text()
    assert service.fetch("GET", f"{PREFIX}static/hub/..%2ftemplates/page.html").code == 403

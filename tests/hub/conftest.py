"""Sites that tests share: starting one takes seconds, and most tests need only users of their own."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.services.cast import Cast, cast
from tests.services.site import Site, site
from tests.services.visitor import Visitor


def _python(version: str) -> str:
    if version == "6":
        return sys.executable
    folder = os.environ.get("GPUQUEUE_HUB55")
    assert folder, "GPUQUEUE_HUB55 names no environment with JupyterHub 5.5: run the tests with `make test`"
    return f"{folder}/bin/python"


@pytest.fixture(scope="session", params=["hub6", "hub55"])
def any_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site with four GPUs, on JupyterHub 6 and on 5.5."""
    with site(gpus=4, python=_python(request.param.removeprefix("hub")[0])) as it:
        yield it


@pytest.fixture(scope="session")
def own_site() -> Iterator[Site]:
    """A site with four GPUs on JupyterHub 6, for what need not be seen on both."""
    with site(gpus=4) as it:
        yield it


_names = itertools.count(1)


@pytest.fixture
def person() -> Iterator[Callable[[Site], Visitor]]:
    """Make people that no other test knows; what they left open is ended afterwards."""
    people: list[Visitor] = []

    def make(at: Site) -> Visitor:
        visitor = Visitor(at, f"person{next(_names)}").login()
        people.append(visitor)
        return visitor

    yield make
    for visitor in people:
        for job in visitor.queue("GET", "jobs").json().get("jobs", []):
            visitor.queue("POST", f"jobs/{job['id']}/stop", body={})
    for visitor in people:
        visitor.all_ended()


@pytest.fixture(scope="module")
def people(own_site: Site) -> Iterator[Cast]:
    """The people of the API's tests."""
    with cast(own_site) as them:
        yield them

"""The Hub's own view of its pods comes back as soon as the API server does."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.services.kubernetes.cluster import Cluster
from tests.services.program import until
from tests.services.site import Site
from tests.services.visitor import Visitor

START_S = 120
SEES_S = 60  # until a notebook runs that takes a quarter of that to start; blind, its launch ends after 120 s
Person = Callable[[], Visitor]


@pytest.mark.parametrize("how", ["ended", "silent, then killed"])
def test_a_launch_goes_on_within_seconds_of_an_api_server_that_is_back(
    how: str, house: Site, own_cluster: Cluster, person: Person
) -> None:
    """Ended in good order it lets its watchers go first; one that is silent leaves connections that look alive."""
    ada, bob, carol = person(), person(), person()
    for each in (ada, bob):
        each.start("gpu8")
        each.job_is("running", within=START_S)
    carol.start("gpu8")
    waits = carol.job_is("queued")
    server = own_cluster.components["apiserver"]

    if how == "ended":
        server.stop(within=90)
    else:
        server.pause()
        time.sleep(25)
        server.kill()
    server.start()
    until(own_cluster.api_ready, within=60, what="the API server answers")
    ada.stop()

    started = carol.job_is("running", within=SEES_S)
    assert (started["id"], started["launch"]) == (waits["id"], 1), "no launch was lost"

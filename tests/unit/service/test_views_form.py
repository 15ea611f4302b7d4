"""What the Hub's form prints of the queue."""

from __future__ import annotations

import json
from typing import Any

from gpuqueue_spawner.scheduling import Limits
from gpuqueue_spawner.service.views import form

from .builders import NOW, job, node, running


def view(*jobs: Any, limits: Limits | None = None) -> dict[str, Any]:
    """For aneh, with one node."""
    return form.view(
        reader="aneh", jobs=jobs, nodes=[node()], limits=limits or Limits(), max_lease=24 * 3600.0, now=NOW
    )


def test_it_sums_up_the_queue() -> None:
    """Nobody is a word, not a zero."""
    assert view()["queue"] == [["Waiting", "nobody"]]
    assert view(job(1, user="dkim"), job(2, gpus=1))["queue"] == [
        ["Waiting", "2 jobs, 5 GPUs"],
        ["Longest wait", "44 min"],
    ]


def test_only_limits_that_exist_are_printed() -> None:
    """With what of them is used by the reader."""
    mine, other = running(1), running(2, user="dkim", indexes=(4, 5, 6))

    shown = view(mine, other, job(3), limits=Limits(gpus=8, queued_jobs=3))["limits"]

    assert shown == [["GPUs at once", "2 of 8"], ["Waiting jobs", "1 of 3"], ["Longest run", "24 h"]]


def test_it_is_plain_json_without_names() -> None:
    """It travels to the Hub and into a page that refreshes itself."""
    text = json.dumps(view(running(1, user="SECRET", name="SECRET"), job(2, user="SECRET", name="SECRET")))

    assert "SECRET" not in text
    assert json.loads(text)["room"]["words"] == "6 of 8"

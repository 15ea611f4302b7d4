"""Sizes and points in time, as people read them."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.model import Resources
from gpuqueue_spawner.service.views import words
from gpuqueue_spawner.service.views.moments import ABOUT, DATE, SECONDS, moment

from .builders import GB, NOW, at, job


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 bytes"), (512 * 2**20, "512 MB"), (64 * GB, "64 GB"), (3 * GB // 2, "1.5 GB"), (1024 * GB, "1 TB")],
)
def test_memory_is_said_as_the_settings_count_it(number: int, expected: str) -> None:
    """1 GB is 1024 MB in the Hub's settings."""
    assert words.memory(number) == expected


def test_gpus_of_another_kind_say_which() -> None:
    """The usual resource name is left out, another one is told."""
    assert words.gpus(Resources(gpus={"nvidia.com/gpu": 1})) == "1 GPU"
    assert words.gpus(Resources(gpus={"nvidia.com/mig-1g.10gb": 2})) == "2 GPUs (mig-1g.10gb)"
    assert words.gpus(Resources(cpus=4)) == ""
    assert words.size(Resources(cpus=0.5)) == "0.5 CPUs"


def test_a_job_without_a_name_is_called_by_its_server_or_number() -> None:
    """Never by its user, never by nothing."""
    assert words.title(job(7, name="churn-model")) == "churn-model"
    assert words.title(job(7, name="", server="gpu")) == "gpu"
    assert words.title(job(7, name="", server="")) == "Notebook 7"


def test_a_time_is_true_without_a_script() -> None:
    """In UTC, with the word, and with the day where it is not today's."""
    assert moment(at(14, 5), now=NOW).text == "14:05 UTC"
    assert moment(at(3, 5, day=25), now=NOW).text == "25 Nov, 03:05 UTC"
    assert moment(at(3, 5, day=25) + 40 * 86400, now=NOW).text == "4 Jan 2027, 03:05 UTC"
    assert moment(at(14, 5), now=NOW, form=ABOUT).text == "about 14:05 UTC"
    assert moment(at(3, 5, day=25), now=NOW, form=ABOUT).text == "25 Nov, about 03:05 UTC"
    assert moment(NOW, now=NOW, form=SECONDS).text == "12:42:07 UTC"
    assert moment(NOW, now=NOW, form=DATE).text == "Tuesday 24 November 2026"
    assert moment(NOW, now=NOW).iso == "2026-11-24T12:42:07Z"


def test_who_did_something_is_said_as_far_as_it_is_known() -> None:
    """The Hub does not tell who asked it to stop a server."""
    assert words.by("aneh", reader="aneh") == "by you"
    assert words.by("aneh", owner="aneh") == "by its owner"
    assert words.by("rbaker", reader="aneh", owner="aneh") == "by rbaker"
    assert words.by("JupyterHub", reader="aneh", owner="aneh") == "in JupyterHub"

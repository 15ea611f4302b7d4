"""The words that people read while they wait."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.model import End, State
from gpuqueue_spawner.service.views import words as views
from gpuqueue_spawner.spawner.jobs import JobView, at_most, end_words, ordinal, waiting_words

from .builders import view


def test_a_waiting_job_says_place_reason_and_estimate():
    """In this order, and only what is known."""
    job = view(place=3, of=7, lead="Waits for 4 GPUs.", proof="The most free is 2.", start=1000 + 40 * 60)

    assert waiting_words(job, now=1000) == (
        "You are 3rd of 7 in the queue. Waits for 4 GPUs. The most free is 2. Starts in about 40 min at the latest."
    )
    assert waiting_words(view(), now=0) == "You are in the queue."
    assert waiting_words(view(state=State.STOPPING), now=0) == "The last try is being cleared away; your place is kept."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "5 min"),
        (90, "5 min"),
        (300, "5 min"),
        (301, "10 min"),
        (3500, "1 h"),
        (4600, "1 h 20 min"),
        (26 * 3600, "26 h"),
        (51 * 3600, "2 days 3 h"),
        (72 * 3600, "3 days"),
    ],
)
def test_an_estimate_is_rounded_up_as_on_the_pages(seconds: float, words: str):
    """It is the latest moment, to five minutes."""
    assert at_most(seconds) == f"in about {words}"
    assert views.at_most(max(seconds, 1)) == f"about {words}"


def test_ordinals():
    """English ones."""
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd",
    ]  # fmt: skip


@pytest.mark.parametrize("end", End)
def test_every_end_has_words(end: End):
    """And keeps what an admin or the queue said."""
    job = view(state=State.ENDED, end=end, message="because")

    assert end_words(job).endswith(": because")
    assert job.final


def test_a_stop_that_leads_back_to_the_queue_is_not_final():
    """STOPPING without an end is a launch that failed."""
    assert not view(state=State.STOPPING).final
    assert view(state=State.STOPPING, end=End.FAILED).final


def test_what_a_later_queue_says_besides_is_left_out():
    """An older Hub reads a newer queue."""
    document = {"id": 1, "key": "k", "state": "queued", "version": 2, "reason": None, "placement": None, "new": 1}

    assert JobView.of_document(document) == JobView(id=1, key="k", state=State.QUEUED, version=2)

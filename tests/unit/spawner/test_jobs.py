"""The words that people read while they wait."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.model import End, State
from gpuqueue_spawner.spawner.jobs import JobView, end_words, waiting_words

from .builders import view


def test_a_waiting_job_says_place_reason_and_estimate():
    """In this order, and only what is known."""
    job = view(place=3, of=7, lead="Waits for 4 GPUs.", proof="The most free is 2.", start=1000 + 40 * 60)

    assert waiting_words(job, now=1000) == (
        "You are 3rd of 7 in the queue. Waits for 4 GPUs. The most free is 2. Starts in about 40 min at the latest."
    )
    assert waiting_words(view(), now=0) == "You are in the queue."
    assert waiting_words(view(state=State.STOPPING), now=0) == "The last try is being cleared away; your place is kept."


def test_what_starts_within_a_minute_starts_any_moment():
    """As on every page."""
    assert waiting_words(view(start=1030), now=1000).endswith("Starts any moment.")
    assert waiting_words(view(start=990), now=1000).endswith("Starts any moment.")


@pytest.mark.parametrize("end", End)
def test_every_end_has_words(end: End):
    """And keeps what an admin or the queue said."""
    job = view(state=State.ENDED, end=end, message="because")

    assert end_words(job).endswith(": because.")
    assert job.final


def test_a_stop_that_leads_back_to_the_queue_is_not_final():
    """STOPPING without an end is a launch that failed."""
    assert not view(state=State.STOPPING).final
    assert view(state=State.STOPPING, end=End.FAILED).final


def test_what_a_later_queue_says_besides_is_left_out():
    """An older Hub reads a newer queue."""
    document = {"id": 1, "key": "k", "state": "queued", "version": 2, "reason": None, "placement": None, "new": 1}

    assert JobView.of_document(document) == JobView(id=1, key="k", state=State.QUEUED, version=2)


def test_who_waits_again_reads_why() -> None:
    """What the cluster took away, and what failed to start, are told apart."""
    taken = view(
        launch=1, message="The cluster took the server away from dgx1: somebody cleared that node.", place=1, of=2
    )
    failed = view(launch=1, failures=1, message="the notebook did not answer within 300 s", place=1, of=2)

    assert waiting_words(taken, now=0) == (
        "The cluster took the server away from dgx1: somebody cleared that node. Your place is kept. "
        "You are 1st of 2 in the queue."
    )
    assert waiting_words(failed, now=0) == (
        "The last start failed: the notebook did not answer within 300 s. You are 1st of 2 in the queue."
    )
    assert waiting_words(view(message="a note on hold", place=1, of=2), now=0) == "You are 1st of 2 in the queue."

"""A job's story: every event in words, gaps, and the bar of its life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuqueue_spawner.model import End, Event, Resources, State
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.service.views import chips, events, life

from .builders import ADMIN, NOW, at, job, logged, node, running, story_view

E, S = Event, State
ENDED = replace(running(extended=3600.0), state=S.ENDED, end=End.EXPIRED, ended=at(15, 6))
LOG = logged(
    (at(10, 0), E.SUBMIT, S.QUEUED, {"by": "aneh"}),
    (at(10, 20), E.HOLD, S.HELD, {"by": "rbaker", "note": "dgx1 is rebooted"}),
    (at(10, 25), E.RELEASE, S.QUEUED, {"by": "rbaker"}),
    (at(11, 3), E.ADMIT, S.ADMITTED, {"detail": {"node": "dgx1", "devices": ["dgx1/0", "dgx1/1"]}}),
    (at(11, 3, 5), E.LAUNCH, S.STARTING, {"detail": {"launch": 1}}),
    (at(11, 4), E.READY, S.RUNNING, {"detail": {"ends": at(15, 4)}}),
    (at(15, 4), E.STOP, S.STOPPING, {"detail": {"end": "expired", "message": "Its time was up."}}),
    (at(15, 6), E.GONE, S.ENDED, {"detail": {"end": "expired"}}),
)


def lines() -> list[str]:
    """The log as it reads without a script; gaps in brackets."""
    view = story_view(ENDED, LOG, nodes=[node()])
    return [
        f"[{line.gap}]" if line.gap else "".join(part if isinstance(part, str) else part.text for part in line.words)
        for line in view.lines
    ]


def test_a_story_tells_every_event_and_where_nothing_happened() -> None:
    """From ten minutes on a pause is printed, with what was going on."""
    assert lines() == [
        "Asked for 2 GPUs for 4 h.",
        "[20 min of waiting]",
        "On hold by rbaker.",
        "Released by rbaker, at its old place.",
        "[38 min of waiting]",
        "Your turn. Admitted to dgx1, GPUs 0 and 1.",
        "The start was permitted.",
        "Notebook ready. Runs until 15:04 UTC.",
        "[4 h of running]",
        "Time was up. The notebook was asked to stop.",
        "Its last process is gone. What it held is free again.",
    ]


def test_its_bar_adds_up() -> None:
    """Waited, started, ran, stopped: one after the other, from its first event to its end."""
    drawn = life.of(LOG, until=at(15, 6), now=NOW)

    assert [piece.kind for piece in drawn.pieces] == ["wait", "start", "run", "stop"]
    assert drawn.words == "Waited 1 h 3 min, started 1 min, ran 4 h, stopped 2 min."
    assert [piece.label for piece in drawn.pieces] == ["waited 1 h 3 min", "", "ran 4 h", ""]


def test_an_open_job_is_drawn_up_to_now() -> None:
    """And a job that was accepted this moment has no bar yet."""
    fresh = logged((NOW, E.SUBMIT, S.QUEUED, {}))

    assert life.of(fresh, until=NOW, now=NOW).words == "Nothing happened yet."
    assert life.of(LOG[:1], until=at(10, 30), now=at(10, 30)).words == "Waited 30 min."


def test_a_life_of_a_moment_fills_its_bar() -> None:
    """Cancelled as soon as it was asked for."""
    short = logged((NOW, E.SUBMIT, S.QUEUED, {}), (NOW + 0.2, E.CANCEL, S.ENDED, {}))

    assert [piece.width for piece in life.of(short, until=NOW + 0.2, now=NOW + 1).pieces] == ["100.0%"]


@pytest.mark.parametrize("event", list(Event))
def test_every_event_has_words_even_without_details(event: Event) -> None:
    """An older log may lack what is logged today."""
    [it] = logged((NOW, event, S.QUEUED, {}))

    told = events.tell(it, job=job(), reader="aneh", index={}, now=NOW)

    assert told.words
    assert "None" not in repr(told.words)


def test_a_failed_start_tells_why_and_which_try() -> None:
    """The note of such a stop is the reason."""
    [it] = logged((NOW, E.STOP, S.STOPPING, {"note": "no answer in 300 s", "detail": {"launch": 2, "failures": 1}}))

    told = events.tell(it, job=job(), reader="aneh", index={}, now=NOW)

    assert (told.words, told.detail) == (("The start failed: no answer in 300 s.",), ("Try number 1.",))


@pytest.mark.parametrize(("end", "tone"), [("completed", "ended"), ("failed", "bad")])
def test_a_server_that_ended_by_itself_was_not_stopped(end: str, tone: str) -> None:
    """The queue says how it ended; only a person asks for a stop."""
    detail = {"end": end, "message": "It was shut down from within."}
    [alone, asked] = logged(*[(NOW, E.STOP, S.STOPPING, {"by": by, "detail": detail}) for by in ("", "rbaker")])

    told, stopped = (events.tell(it, job=job(), reader="aneh", index={}, now=NOW) for it in (alone, asked))

    assert (told.words, told.tone) == (("It was shut down from within.",), tone)
    assert stopped.words == ("Stop asked for by rbaker.",)


def test_its_own_acts_are_you_and_others_have_names() -> None:
    """The reader of a story is not talked of as a third person."""
    [mine, theirs] = logged(*[(NOW, E.CANCEL, S.ENDED, {"by": name}) for name in ("aneh", "rbaker")])

    said = [events.tell(it, job=job(), reader="aneh", index={}, now=NOW).words for it in (mine, theirs)]

    assert said == [("Cancelled by you.",), ("Cancelled by rbaker.",)]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [(["d0"], "dgx1, GPU 0"), (["d2", "d0", "d1"], "dgx1, GPUs 0 to 2"), (["d0", "d2"], "dgx1, GPUs 0 and 2"),
     (["gone", "d1"], "dgx1, 2 GPUs"), ([], "dgx1")],
)  # fmt: skip
def test_gpus_are_called_by_their_numbers(devices: list[str], expected: str) -> None:
    """Where a node is gone its numbers are not known, and only the count is said."""
    held = Resources(gpus={NVIDIA_GPU: len(devices)})

    assert events.place("dgx1", devices, {"d0": 0, "d1": 1, "d2": 2}, held) == expected


def test_gpus_that_a_kubelet_picks_have_no_numbers() -> None:
    """The queue only counts them; which ones a notebook has, it does not know and does not say."""
    counted = tuple(replace(device, numbered=False) for device in node().devices)
    view = story_view(running(indexes=(2, 3)), LOG, nodes=[replace(node(), devices=counted)])

    assert dict(view.facts)["Server"] == "dgx1, 2 GPUs"
    assert "Your turn. Admitted to dgx1, 2 GPUs." in str(view.lines)


def test_figures_and_facts_of_an_ended_job() -> None:
    """The GPU team also reads whose job it is."""
    view = story_view(replace(ENDED, submitted=at(10)), LOG, reader=ADMIN, nodes=[node()])

    assert view.figures == (
        ("Waited", "1 h 3 min"), ("Ran", "4 h 2 min"), ("GPU time", "8.1 GPU-hours"), ("Extended by", "1 h"),
    )  # fmt: skip
    assert ("Creator", "aneh") in view.facts
    assert ("Server", "dgx1, GPUs 0 and 1") in view.facts
    assert view.frame.stream == ""


def test_how_a_job_ended_is_said_with_what_the_queue_knows() -> None:
    """Also of one that ended well, or of which nobody saw how."""
    ended = replace(running(), state=S.ENDED, end=End.COMPLETED, message="It was shut down from within.")

    assert chips.end_words(ended, reader="aneh") == "Finished: It was shut down from within."
    assert chips.end_words(replace(ended, message=""), reader="aneh") == "Finished"


def test_what_the_cluster_took_away_did_not_fail() -> None:
    """Its story says who took it, and where the job goes."""
    words = "The cluster took the server away from dgx1: somebody cleared that node."
    log = logged((at(11), E.STOP, S.STOPPING, {"note": words, "detail": {"launch": 1, "taken": True}}))

    said = events.tell(log[0], job=job(), reader="aneh", index={}, now=NOW)

    assert (said.words, said.tone) == ((words,), "warn")
    assert said.detail == ("It goes back to the queue, to its old place, and starts anew.",)

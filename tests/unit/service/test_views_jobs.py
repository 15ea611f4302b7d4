"""My jobs: what each card says and offers, and that nobody else's names are in the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpuqueue_spawner.model import End, Job, Placement, ReasonCode, State
from gpuqueue_spawner.service.views import line, queue
from gpuqueue_spawner.service.views.cards import Card, Rules
from gpuqueue_spawner.service.views.moments import Words

from .builders import NOW, at, job, jobs_view, node, render, running, wait


def said(words: Words) -> str:
    """A sentence as it reads without a script."""
    return "".join(part if isinstance(part, str) else part.text for part in words)


def only_card(*args: object, **kwargs: object) -> Card:
    """The card of a page with one."""
    [card] = jobs_view(*args, **kwargs).cards  # type: ignore[arg-type]
    return card


def actions(card: Card) -> list[str]:
    """The words of its buttons."""
    return [action.word for action in [*filter(None, [card.extend]), *card.can]]


def test_a_waiting_job_tells_place_latest_start_and_reason() -> None:
    """The estimate is the latest start, rounded up."""
    mine = job()
    card = only_card(mine, waits=wait(mine, place=3, of=7, start=at(14, 8)), moved={1: at(12, 36)})

    assert (card.chip.word, card.headline) == ("Waiting", "3rd of 7")
    assert said(card.says[0]) == "Starts at the latest about 14:10 UTC."
    assert said(card.small[0]) == "Behind 2 others. Last moved 12:36 UTC."
    assert actions(card) == ["See the wait", "Cancel"]
    assert card.can[1].lost == "You give up 3rd place. Nothing else is lost."


@pytest.mark.parametrize(("start", "expected"), [(NOW - 1, "Starts any moment."), (None, "No estimate yet.")])
def test_without_a_time_to_come_no_time_is_printed(start: float | None, expected: str) -> None:
    """A start in the past is "any moment"; none is none."""
    mine = job()

    assert said(only_card(mine, waits=wait(mine, start=start)).says[0]) == expected


def test_a_held_job_keeps_its_place_and_quotes_the_note() -> None:
    """No estimate while on hold."""
    mine = job(state=State.HELD, by="rbaker", message="after the driver")
    held = wait(mine, start=None, code=ReasonCode.HOLD, lead="The GPU team put this request on hold.", proof="“x”")
    card = only_card(mine, waits=held)

    assert card.chip.word == "On hold"
    assert said(card.says[0]) == "Your place is kept. No estimate while on hold."
    assert said(card.small[0]) == "The GPU team put this request on hold. “x”"
    assert actions(card) == ["See the wait", "Cancel"]


def test_a_running_job_tells_what_is_left_and_what_may_be_done() -> None:
    """Stop says what is lost and that others wait; restart says what it keeps."""
    card = only_card(running(), job(2, user="dkim"))

    assert (card.headline, card.used, card.of) == ("2 h 21 min left", 98, 240)
    assert said(card.facts) == "2 GPUs on dgx1 · 8 CPUs · 64 GB · since 11:04 UTC"
    assert actions(card) == ["Extend by 2 h", "Open", "Restart", "Stop"]
    assert card.can[1].lost == "It keeps its 2 GPUs, and its time runs on. What is not saved is lost."
    assert card.can[2].lost == (
        "You give back its 2 GPUs for the next in line; 1 job waits. What is not saved is lost."
    )
    assert said(card.rule) == (
        "You can extend to 17:04 UTC. 2 h more are possible after that. 1 job waits in the queue."
    )


def test_one_gpu_is_said_without_its_number() -> None:
    """ "Its GPU", and not "its 1 GPU"."""
    assert only_card(running(indexes=(3,))).can[2].lost == "You give back its GPU. What is not saved is lost."


def test_near_its_end_a_job_warns() -> None:
    """From the site's warning time on."""
    card = only_card(running(ends=NOW + 500), rules=Rules(warning=600))

    assert (card.chip.word, card.headline) == ("Ends soon", "8 min left")
    assert said(card.says[0]).endswith("Save your work; files in your home folder stay.")


@pytest.mark.parametrize(
    ("fields", "rules", "expected"),
    [
        ({"extended": 4 * 3600.0}, Rules(), "Extended by 4 h, the most that is possible."),
        ({}, Rules(extend_by=0), "This site does not extend jobs."),
        ({"ends": NOW - 1}, Rules(), "Its time is up: it can no longer be extended."),
    ],
)
def test_what_cannot_be_extended_has_no_button_and_says_why(
    fields: dict[str, float], rules: Rules, expected: str
) -> None:
    """A dead button is never printed."""
    card = only_card(running(**fields), rules=rules)

    assert card.extend is None
    assert said(card.rule) == expected


def test_an_extension_names_the_new_end_so_that_two_presses_are_one() -> None:
    """The form carries the end it asks for; the last piece may be smaller."""
    card = only_card(running(extended=3 * 3600.0))

    assert card.extend is not None
    assert card.extend.word == "Extend by 1 h"
    assert card.extend.fields == (("ends", f"{at(16, 4):.3f}"),)


@pytest.mark.parametrize(
    ("state", "fields", "headline", "expected"),
    [
        (State.ADMITTED, {}, "Your turn", ["See the start", "Cancel"]),
        (State.STARTING, {}, "Starting the notebook", ["See the start", "Stop"]),
        (State.RESTARTING, {}, "Restarting the notebook", ["See the start", "Stop"]),
        (State.STOPPING, {"end": End.STOPPED}, "Stopping", []),
    ],
)
def test_each_state_offers_what_it_allows(
    state: State, fields: dict[str, End], headline: str, expected: list[str]
) -> None:
    """What is impossible is absent."""
    card = only_card(running(state=state, started=None, ends=None, **fields))

    assert card.headline == headline
    assert actions(card) == expected


def test_addresses_escape_names() -> None:
    """A user or server name never leaves its place in an address."""
    card = only_card(running(user="aneh", server="a b/../c"))

    assert card.can[0].url == "/user/aneh/a%20b%2F..%2Fc/"
    assert only_card(running(server="")).can[0].url == "/user/aneh/"


def test_running_jobs_come_before_waiting_ones() -> None:
    """Cards keep their order while only numbers change."""
    first, second = job(1), running(2, server="two")
    view = jobs_view(first, second, job(3, server="three"), waits=wait(first))

    assert [card.id for card in view.cards] == ["job-2", "job-1", "job-3"]
    assert view.counts == "1 running, 2 waiting."


def test_while_nobody_can_say_what_is_free_the_page_says_so() -> None:
    """The room is shown as the last known state, and no chip says that a job simply waits."""
    view = jobs_view(job(), nodes=[node()], unknown="The servers have not answered for 40 s.")

    assert view.frame.notices[0].lead == "Nobody starts at the moment."
    assert view.frame.notices[0].words.startswith("The servers have not answered for 40 s. Running")
    assert view.cards[0].chip.word == "Queue paused"
    assert view.room.unknown


def test_ended_jobs_say_how_and_for_how_long() -> None:
    """By whom, where a person did it; never started, where it never ran."""
    stopped = replace(running(), state=State.ENDED, end=End.STOPPED, by="aneh", ended=at(12, 4))
    failed = replace(job(2), state=State.ENDED, end=End.FAILED, message="the image does not exist", ended=at(12, 5))
    dropped = replace(job(3), state=State.ENDED, end=End.CANCELLED, by="rbaker", ended=at(12, 5))

    rows = jobs_view(ended=[stopped, failed, dropped]).ended

    assert [row.words for row in rows] == ["Stopped by you", "Failed: the image does not exist", "Cancelled by rbaker"]
    assert [row.used for row in rows] == ["2 GPUs for 1 h", "Never started", "Never started"]


def test_the_start_button_leads_to_a_server_that_is_not_in_use() -> None:
    """Without a second server there is none to start."""
    from .builders import SITE

    default = running(server="")

    assert jobs_view(job()).start_url == "/hub/spawn"
    assert jobs_view(default).start_url == "/hub/home"
    assert jobs_view(default, site=replace(SITE, named_servers=False)).start_url == ""


# ---- the line and the queue -------------------------------------------------------------------------------------


def test_a_long_line_is_cut_around_the_reader() -> None:
    """What is not drawn is counted; the sums are right."""
    waiting = [job(n) for n in range(1, 61)]

    drawn = line.of(waiting, waiting[30])

    assert [stack.label for stack in drawn.stacks if stack.kind == "gap"] == ["… 24 more", "… 24 more"]
    assert sum(stack.kind == "ahead" for stack in drawn.stacks) == 6
    assert drawn.words == "Numbers are GPUs. 30 jobs are ahead of you, 29 behind."


@pytest.mark.parametrize(
    ("n", "place", "expected"),
    [(1, 0, "Nobody else waits."), (2, 0, "You are first, 1 job behind you."),
     (2, 1, "Numbers are GPUs. 1 job is ahead of you, none behind.")],
)  # fmt: skip
def test_who_is_around_is_said(n: int, place: int, expected: str) -> None:
    """The drawing repeats what the words say."""
    waiting = [job(id) for id in range(n)]

    assert line.of(waiting, waiting[place]).words == expected


def test_a_stack_has_a_cell_for_each_gpu() -> None:
    """A job without GPUs has none, and is drawn as a bar."""
    [stack] = line.of([job(gpus=3)], job(gpus=3)).stacks
    [bare] = line.of([job(gpus=0)], job(gpus=0)).stacks

    assert stack.cells == ((2, 14), (2, 2), (14, 14))
    assert (bare.cells, bare.words) == ((), ", 8 CPUs")


def test_a_long_queue_keeps_own_rows_and_counts_the_rest() -> None:
    """Two thousand rows would be no help."""
    jobs = [job(n, user="aneh" if n == 40 else "dkim") for n in range(1, 51)]

    rows = queue.of(jobs, {}, now=NOW, reader="aneh").rows

    assert [row.place for row in rows if row.gap] == ["27 more", "10 more"]
    assert [row.mine for row in rows if row.mine] == ["job-40"]
    assert len(rows) == queue.SHOWN + 3


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ReasonCode.HOLD, "On hold by the GPU team."),
        (ReasonCode.OWN_LIMIT, "Its owner is at a limit."),
        (ReasonCode.NOT_BEFORE, "Tries again in a moment."),
        (ReasonCode.ORDER, "SECRET"),
    ],
)
def test_reasons_of_others_tell_neither_notes_nor_limits(code: ReasonCode, expected: str) -> None:
    """What is only about room and order may be read by all."""
    other = job(user="dkim")
    waits = wait(other, code=code, lead="SECRET", proof="SECRET PROOF")

    [row] = queue.of([other], waits, now=NOW, reader="aneh").rows

    assert row.why == expected


STATES: list[Job] = [
    job(2, user="SECRET-user", name="SECRET-name", server="SECRET-server", profile="SECRET-profile"),
    job(3, user="SECRET-user", name="SECRET-name", state=State.HELD, by="SECRET-admin", message="SECRET-note"),
    *(
        running(n, user="SECRET-user", name="SECRET-name", server="SECRET-server", state=state, message="SECRET-note",
                indexes=(n - 4,), placement=Placement(node="dgx1", devices=(f"dgx1/{n - 4}",)), by="SECRET-admin")
        for n, state in enumerate(
            [State.ADMITTED, State.STARTING, State.RUNNING, State.RESTARTING, State.STOPPING], start=4
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("code", list(ReasonCode))
def test_nobody_reads_another_users_names_or_notes(code: ReasonCode) -> None:
    """In no state, for no reason, in the whole page and its view."""
    mine = job(1)
    waits = wait(mine)
    for other in STATES[:2]:
        held = code in (ReasonCode.HOLD, ReasonCode.OWN_LIMIT, ReasonCode.NOT_BEFORE)
        waits |= wait(other, code=code, lead="SECRET-lead" if held else "Behind 1 other.", proof="SECRET-proof")

    nodes = [node(note="SECRET-note", drained=True), node("dgx2", foreign=(0,))]
    view = jobs_view(mine, *STATES, waits=waits, nodes=nodes)

    assert "SECRET" not in repr(view)
    assert "SECRET" not in render("jobs.html", view)
    assert "pid 7" not in render("jobs.html", view)

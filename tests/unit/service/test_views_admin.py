"""The admin page: names, figures, and acts only for those who may."""

from __future__ import annotations

from dataclasses import replace

from gpuqueue_spawner.model import End, ReasonCode, Resources, State
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.service.readers import Reader
from gpuqueue_spawner.service.views import chips

from .builders import ANEH, NOW, READER, admin_view, at, job, jobs_view, node, render, running, sliced, wait


def test_it_names_who_waits_and_why() -> None:
    """In the order of the queue, with the code of the reason."""
    first, second = job(1, user="mweber"), job(2, user="dkim")
    waits = wait(first, place=1, of=2, code=ReasonCode.RESOURCES, lead="Waits for 4 free GPUs.") | wait(second, place=2)

    rows = admin_view(first, second, waits=waits).waiting

    assert [(row.place, row.creator, row.code, row.why.lead) for row in rows] == [
        ("1.", "mweber", "Resources", "Waits for 4 free GPUs."),
        ("2.", "dkim", "Order", "Behind 2 others."),
    ]


def test_a_held_job_tells_who_holds_it() -> None:
    """With the note."""
    [row] = admin_view(job(state=State.HELD, by="rbaker", message="driver")).waiting

    assert (row.chip, row.why.lead, row.why.proof) == (
        chips.of_job(job(state=State.HELD), now=0),
        "Held by rbaker.",
        "“driver”",
    )


def test_figures_do_not_hide_gpus_in_use_outside_the_queue() -> None:
    """They are in use, but not by the queue."""
    view = admin_view(running(), nodes=[node(foreign=(7,))])

    assert dict(view.figures) == {
        "Waiting": "0 jobs", "Longest wait": "none", "GPUs in use": "2 of 8", "Free now": "5",
        "Used outside the queue": "1 GPU",
    }  # fmt: skip


def test_slices_are_counted_apart_and_their_server_is_drained_once() -> None:
    """What is free of one kind is no answer to who wants the other."""
    view = admin_view(running(indexes=(0, 1)), nodes=[sliced()])

    assert dict(view.figures) == {
        "Waiting": "0 jobs", "Longest wait": "none",
        "GPUs in use": "2 of 2", "GPUs free now": "0",
        "GPUs (mig-1g.10gb) in use": "0 of 3", "GPUs (mig-1g.10gb) free now": "3",
    }  # fmt: skip
    assert [row.do is not None for row in view.servers] == [True, False]
    assert "0 of 2</strong> GPUs and 3 of 3 GPUs (mig-1g.10gb) free now" in render("admin.html", view)


def test_what_is_free_is_unknown_while_nobody_can_say() -> None:
    """An old number is not printed as a new one."""
    view = admin_view(nodes=[node()], unknown="The servers have not answered for 40 s.")

    assert dict(view.figures)["Free now"] == "unknown"


def test_who_may_only_read_gets_no_forms() -> None:
    """Neither over the queue nor beside servers, jobs and people."""
    held = admin_view(job(), running(2, user="dkim"), nodes=[node()], reader=READER)

    assert not held.operates
    assert [row.do for row in held.servers] == [None]
    assert [row.stop for row in held.holders] == [None]
    assert {row.end for row in held.people} == {None}
    html = render("admin.html", held)
    assert 'type="checkbox" name="job"' not in html
    assert "<button" not in html.split('id="queue-form"')[1]


def test_an_operator_moves_jobs_and_drains_nothing() -> None:
    """No button that would answer 403."""
    operator = Reader(name="olaf", scopes=frozenset({"custom:gpuqueue:operate"}))
    view = admin_view(job(), running(2, user="dkim"), nodes=[node()], reader=operator)

    assert view.operates
    assert [row.stop is not None for row in view.holders] == [True]
    assert [row.do for row in view.servers] == [None]
    assert {row.end for row in view.people} == {None}


def test_a_server_can_be_drained_and_taken_back() -> None:
    """A name with a slash stays one part of the address."""
    view = admin_view(nodes=[node("a/b"), node("dgx2", drained=True, note="driver")])
    drain, back = (row.do for row in view.servers)

    assert drain is not None
    assert back is not None
    assert (drain.word, drain.url) == ("Drain", "/services/gpuqueue/admin/nodes/a%2Fb/drain")
    assert drain.ask
    assert (back.word, back.url) == ("Take back", "/services/gpuqueue/admin/nodes/dgx2/undrain")
    assert view.servers[1].row.note == "driver"


def test_people_are_summed_up_with_what_is_to_be_said_of_them() -> None:
    """Someone who may no longer log in still holds what runs; kinds of GPUs are not added up."""
    sliced_job = replace(running(4, user="kim"), resources=Resources(gpus={NVIDIA_GPU: 2, "nvidia.com/mig-1g.10gb": 1}))
    view = admin_view(
        running(1, user="tkumar"), job(2, user="tkumar"), job(3), sliced_job,
        remarks={"tkumar": "may no longer log in"},
    )  # fmt: skip

    assert [(row.name, row.words, row.remark) for row in view.people] == [
        ("aneh", "1 job waits", ""),
        ("kim", "1 job holds 2 GPUs and 1 GPU (mig-1g.10gb)", ""),
        ("tkumar", "1 job holds 2 GPUs, 1 job waits", "may no longer log in"),
    ]
    assert view.people[2].end is not None
    assert view.people[2].end.url == "/services/gpuqueue/admin/users/tkumar/end"
    assert "2 jobs end" in view.people[2].end.lost


def test_what_ends_already_cannot_be_stopped_again() -> None:
    """No dead button."""
    [row] = admin_view(running(state=State.STOPPING, end=End.STOPPED)).holders

    assert row.stop is None


def test_recent_ends_tell_by_whom_and_how_long() -> None:
    """The owner is "its owner"."""
    own = replace(job(user="dkim"), state=State.ENDED, end=End.CANCELLED, by="dkim", ended=at(12, 38))
    failed = replace(running(2), state=State.ENDED, end=End.FAILED, message="no answer", ended=at(12, 38))

    rows = admin_view(ended=[own, failed]).ended

    assert [(row.why, row.waited, row.ran) for row in rows] == [
        ("by its owner", "40 min", "not started"),
        ("no answer", "under 1 min", "1 h 34 min"),
    ]


def test_older_ends_are_folded_away() -> None:
    """On a phone each of them fills half a screen."""
    ended = [replace(job(n), state=State.ENDED, end=End.CANCELLED, ended=at(12, 38)) for n in range(1, 10)]

    few, many = admin_view(ended=ended[:6]), admin_view(ended=ended)

    assert (len(few.ended), few.ended_before) == (6, ())
    assert (len(many.ended), len(many.ended_before), many.ended_words) == (6, 3, "3 more")


def test_the_navigation_has_what_the_reader_may_open() -> None:
    """The Hub's admin panel is another right than the queue's."""
    both = Reader(name="root", scopes=frozenset({"admin-ui", "custom:gpuqueue:operate"}))

    assert [link.word for link in jobs_view(reader=ANEH).frame.links] == ["Home", "Token", "My jobs"]
    assert [link.word for link in admin_view(reader=both).frame.links] == [
        "Home", "Token", "Admin", "My jobs", "Queue admin",
    ]  # fmt: skip
    assert [link.word for link in admin_view().frame.links if link.current] == ["Queue admin"]
    assert admin_view().frame.updated.text == f"12:42:0{int(NOW) % 10} UTC"

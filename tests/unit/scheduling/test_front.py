"""The front of the line says what a plan says, whatever happened before it was asked."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuqueue_spawner.model import State
from gpuqueue_spawner.scheduling import Ahead, Front, Limits, plan

from .builders import NOW, job, node, running
from .test_properties import after, first_come
from .worlds import snapshots


def asked(front, snapshot, *, now=NOW):
    """The front of a world."""
    return front.ahead(
        nodes=snapshot.nodes,
        holding=[job for job in snapshot.jobs if job.holding],
        line=sorted((job for job in snapshot.jobs if job.waiting), key=first_come),
        limits=snapshot.limits,
        now=now,
    )


@settings(max_examples=300)
@given(snapshots())
def test_the_front_admits_whom_a_plan_admits(snapshot):
    """The same jobs to the same devices, in the same order."""
    assert asked(Front(), snapshot).admissions == plan(snapshot, now=NOW).admissions


@settings(max_examples=200)
@given(snapshots(), st.lists(st.tuples(st.sampled_from(["admit", "end", "drain", "forget"]), st.integers(0, 20))))
def test_what_was_kept_of_earlier_moments_changes_nothing(snapshot, happenings):
    """Admissions are written or lost, jobs end, servers are drained: one that is asked all the time agrees."""
    front = Front()
    for what, which in happenings:
        found = plan(snapshot, now=NOW)
        assert asked(front, snapshot).admissions == found.admissions
        if what == "admit":
            snapshot = after(snapshot, found)
        elif what == "end":
            ends = [each for each in snapshot.jobs if each.holding][which % 4 : which % 4 + 1]
            snapshot = replace(snapshot, jobs=tuple(each for each in snapshot.jobs if each not in ends))
        elif what == "drain":
            index = which % len(snapshot.nodes)
            moved = replace(snapshot.nodes[index], drained=not snapshot.nodes[index].drained)
            snapshot = replace(snapshot, nodes=(*snapshot.nodes[:index], moved, *snapshot.nodes[index + 1 :]))
    assert asked(front, snapshot).admissions == plan(snapshot, now=NOW).admissions


@settings(max_examples=200)
@given(snapshots())
def test_until_it_is_due_time_alone_admits_nobody(snapshot):
    """Just before the moment that it names, a plan of the world after its admissions admits nobody."""
    found = asked(Front(), snapshot)
    latest = NOW + 10_000 if found.due is None else found.due - 0.001
    nobody_ends = [replace(each, ends=NOW + 1e6) if each.holding else each for each in snapshot.jobs]
    written = after(replace(snapshot, jobs=tuple(nobody_ends)), plan(snapshot, now=NOW))

    assert found.due is None or found.due > NOW
    assert plan(written, now=latest).admissions == ()


def test_nobody_behind_the_first_who_waits_for_room_is_looked_at():
    """With thousands in line it costs what one in line costs."""
    line = (job(id, gpus=2) for id in range(1, 1000))

    found = Front().ahead(
        nodes=[node("dgx1", gpus=3)], holding=[running(2000, on="dgx1")], line=line, limits=Limits(), now=NOW
    )

    assert [each.job for each in found.admissions] == [1]
    assert [each.id for each in islice(line, 1)] == [3]


def test_without_anybody_in_line_nobody_starts():
    """Nor is there a moment to wait for."""
    held = job(1, state=State.HELD, not_before=NOW + 5)

    assert Front().ahead(nodes=[node("dgx1")], holding=[], line=[held], limits=Limits(), now=NOW) == Ahead()

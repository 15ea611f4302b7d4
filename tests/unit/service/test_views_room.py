"""The room: cells, blocks, and what may be read of others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuqueue_spawner.model import End, Placement, State
from gpuqueue_spawner.service.views import room

from .builders import NOW, at, job, node, running, sliced


def blocks(*args: object, **kwargs: object) -> list[tuple[str, int, str]]:
    """Kind, number and label or time of each block of the only node."""
    [row] = room.of(*args, now=NOW, **kwargs).nodes  # type: ignore[arg-type]
    return [(block.kind, block.n, block.until.text if block.until else block.label) for block in row.blocks]


def test_the_cells_of_one_job_fuse_and_tell_when_they_come_free() -> None:
    """Own cells are marked, free ones come last."""
    mine, other = running(1, indexes=(4,)), running(2, user="dkim", indexes=(0, 1))

    drawn = blocks([node()], [mine, other], reader="aneh")

    assert drawn == [("busy", 2, "15:04 UTC"), ("mine", 1, "15:04 UTC"), ("free", 5, "free")]


def test_a_gpu_in_use_outside_the_queue_is_not_free() -> None:
    """It is neither counted nor drawn as free, and the words say so."""
    drawn = room.of([node(foreign=(0, 3))], [], now=NOW)

    assert (drawn.free, drawn.total) == (6, 8)
    assert drawn.nodes[0].words == "2 outside the queue, 6 free"
    assert "pid 7" not in str(drawn)


def test_a_slice_of_a_gpu_is_not_counted_as_a_gpu() -> None:
    """A row of its own, so that nobody reads "3 free" and waits for a whole one."""
    whole = running(1, indexes=(0, 1))
    slice_ = replace(running(2, user="dkim", ends=at(13, 0)), placement=Placement(node="dgx1", devices=("slice/1",)))

    drawn = room.of([sliced()], [whole, slice_], now=NOW, reader="aneh")

    assert [(row.id, row.name, row.words, row.first) for row in drawn.nodes] == [
        ("node-dgx1", "dgx1", "2 in use, all yours", True),
        ("node-dgx1-nvidia.com/mig-1g.10gb", "dgx1 (mig-1g.10gb)", "1 in use, 2 free", False),
    ]
    assert [row.next_at.text for row in drawn.nodes if row.next_at] == ["15:04 UTC", "13:00 UTC"]
    assert (drawn.free, drawn.total) == (0, 2)
    assert f"{drawn.words} {drawn.unit}" == "0 of 2 GPUs and 2 of 3 GPUs (mig-1g.10gb)"


def test_a_gpu_that_is_gone_from_its_node_is_still_in_use() -> None:
    """Its job holds it until it ends."""
    gone = replace(running(), placement=Placement(node="dgx1", devices=("dgx1/1", "dgx1/7")))

    assert [row.in_use for row in room.of([sliced()], [gone], now=NOW).nodes] == [2, 0]


def test_a_drained_node_gives_out_nothing() -> None:
    """What runs there runs on; the rest is not free."""
    drawn = room.of([node(drained=True, note="new driver")], [running(indexes=(0,))], now=NOW)

    assert drawn.free == 0
    assert drawn.nodes[0].words == "draining, 1 still in use"
    assert [block.kind for block in drawn.nodes[0].blocks] == ["busy", "out"]
    assert "new driver" not in str(drawn)


def test_a_job_that_has_no_end_yet_says_what_it_does() -> None:
    """Starting and stopping jobs hold GPUs without a time."""
    starting = running(1, indexes=(0,), state=State.STARTING, ends=None)
    stopping = running(2, indexes=(1,), state=State.STOPPING, end=End.STOPPED)
    restarting = running(3, indexes=(2,), state=State.RESTARTING)

    drawn = blocks([node(gpus=3)], [starting, stopping, restarting])

    assert [label for _, _, label in drawn] == ["starting", "stopping", "restarting"]


def test_a_lease_that_ran_out_is_not_an_end_in_the_past() -> None:
    """Its GPUs are expected now."""
    [(_, _, label)] = blocks([node(gpus=2)], [running(ends=NOW - 600)])

    assert label == "12:42 UTC"


def test_a_node_without_gpus_tells_its_cpus() -> None:
    """There are no cells to draw."""
    drawn = room.of([node(gpus=0)], [running(indexes=())], now=NOW)

    assert drawn.nodes[0].words == "no GPUs, 120 of 128 CPUs free"
    assert drawn.nodes[0].blocks == ()


@given(st.integers(1, 40), st.data())
def test_every_gpu_is_drawn_once_and_no_block_crosses_a_row(gpus: int, data: st.DataObject) -> None:
    """Whatever the jobs hold: the cells of a node add up, and a row has at most eight."""
    owners = data.draw(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=gpus, max_size=gpus))
    jobs = [
        replace(job(id, gpus=owners.count(id)), state=State.RUNNING, placement=Placement(node="dgx1", devices=devices))
        for id in (1, 2, 3)
        if (devices := tuple(f"dgx1/{n}" for n, owner in enumerate(owners) if owner == id))
    ]

    [row] = room.of([node(gpus=gpus)], jobs, now=NOW).nodes

    assert sum(block.n for block in row.blocks) == gpus == row.in_use + row.free
    column = 0
    for block in row.blocks:
        assert column % room.WIDEST + block.n <= room.WIDEST
        column += block.n


@pytest.mark.parametrize("names", [True, False])
def test_names_are_shown_only_where_they_are_asked_for(names: bool) -> None:
    """The admin page asks."""
    [row] = room.of([node()], [running(user="dkim")], now=NOW, names=names).nodes

    assert [block.who for block in row.blocks] == (["dkim", ""] if names else ["", ""])

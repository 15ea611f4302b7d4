"""In a large cluster a look costs what changed since the last one, and sees what a first look would see."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuqueue_spawner.capacity.kubernetes.cluster import Question, SeenNode, SeenPod, observation, shelf
from gpuqueue_spawner.manager.strays import Question as RoomQuestion
from gpuqueue_spawner.manager.strays import room
from gpuqueue_spawner.model import Job, Node, Placement, Resources, State
from gpuqueue_spawner.model.kept import Kept
from gpuqueue_spawner.model.resources import NVIDIA_GPU
from gpuqueue_spawner.model.shelved import Shelved
from tests.unit.service.builders import job

OURS = "0123456789abcdef"
NODES = ("dgx1", "dgx2")

nodes = st.builds(
    SeenNode,
    name=st.sampled_from(NODES),
    allocatable=st.just(Resources(cpus=8, memory=2**33, gpus={NVIDIA_GPU: 4})),
    broken=st.sampled_from([Resources(), Resources(gpus={NVIDIA_GPU: 1})]),
    closed=st.sampled_from(["", "", "cordoned", "not ready"]),
)
pods = st.builds(
    SeenPod,
    name=st.sampled_from("abcdef"),
    namespace=st.just("hub"),
    node=st.sampled_from([*NODES, "gone", ""]),
    ended=st.booleans(),
    deleted=st.booleans(),
    resources=st.builds(lambda gpus: Resources(cpus=0.1, memory=2**20, gpus={NVIDIA_GPU: gpus}), st.integers(0, 3)),
    instance=st.sampled_from([OURS, ""]),
    key=st.sampled_from(["k1", "k2", ""]),
)
places = st.none() | st.builds(
    Placement, node=st.sampled_from(NODES), devices=st.sampled_from([(), (f"{NVIDIA_GPU}/0",), (f"{NVIDIA_GPU}/3",)])
)


def shelved(*pods: SeenPod) -> Shelved[SeenPod]:
    it = Shelved[SeenPod](partial(shelf, instance=OURS))
    for pod in pods:
        it.put(pod.name, pod)
    return it


def holding(number: int, place: Placement) -> Job:
    return replace(job(number, state=State.RUNNING), key=f"k{number}", placement=place)


@settings(max_examples=200)
@given(st.lists(st.one_of(nodes, pods, st.tuples(st.sampled_from([1, 2]), places)), max_size=12))
def test_a_look_that_keeps_what_did_not_change_sees_what_a_first_look_sees(
    history: list[SeenNode | SeenPod | tuple[int, Placement | None]],
) -> None:
    """Nodes, pods and the places of jobs come, change and go, in any order."""
    there: dict[str, SeenNode] = {}
    run: dict[str, SeenPod] = {}
    kept_pods = shelved()
    books: dict[int, Placement | None] = {}
    kept: Kept[Question, Node] = Kept()
    kept_rooms: Kept[RoomQuestion, Node] = Kept()

    for change in history:
        if isinstance(change, SeenNode):
            there[change.name] = change
        elif isinstance(change, SeenPod):
            run[change.name] = change
            kept_pods.put(change.name, change)
        else:
            books[change[0]] = change[1]
        jobs = [holding(number, place) for number, place in books.items() if place]
        fresh = observation(there.values(), shelved(*run.values()).shelves())
        again = observation(there.values(), kept_pods.shelves(), kept=kept)

        assert (again.nodes, again.away) == (fresh.nodes, fresh.away)
        assert {key: {*traces} for key, traces in again.jobs.items()} == {
            key: {*traces} for key, traces in fresh.jobs.items()
        }
        assert room(again, jobs, kept=kept_rooms) == room(fresh, jobs)


def test_where_nothing_changed_the_node_is_the_same_record() -> None:
    """So that whoever compares or counts it sees that at once."""
    first = SeenNode(name="dgx1", allocatable=Resources(cpus=8, memory=2**33, gpus={NVIDIA_GPU: 4}))
    pod = SeenPod(name="a", namespace="x", node="dgx1", ended=False, deleted=False, resources=Resources(cpus=1))
    second, kept, pods = replace(first, name="dgx2"), Kept[Question, Node](), shelved(pod)

    before = observation([first, second], pods.shelves(), kept=kept).nodes
    pods.put(pod.name, replace(pod, ended=True))
    after = observation([first, second], pods.shelves(), kept=kept).nodes

    assert before[1] is after[1]
    assert (before[0].used.cpus, after[0].used.cpus) == (1, 0)

"""What every database promises about jobs: accepted once, moved one step at a time, told in full."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from gpuqueue_spawner.model import Constraints, End, Event, InvalidTransition, Resources, State
from gpuqueue_spawner.store import DeviceTaken, JobChanged, Store, Unstorable
from gpuqueue_spawner.store.tables import jobs

from .builders import admitted, ended, everything, held, on, queued, request, rows


def test_accepted_request_is_a_queued_job_with_all_that_was_asked(store: Store, fence: int) -> None:
    """A submitted job reads back exactly as it was answered, options and unusual characters included."""
    options = {"profile": "gpu", "nested": {"list": [1, 2.5, None, True]}, "text": "日本\u2028\x00\ud800"}
    wanted = request("zoë", "lab", gpus=4, name="Näme <b>", profile="Big", options=options, uid=4_294_967_294)

    job, new = store.jobs.submit(wanted, fence=fence, at=12.5)

    assert new
    assert job == store.jobs.get(job.id) == store.jobs.by_key(job.key)
    assert (job.state, job.version, job.submitted, job.queued) == (State.QUEUED, 1, 12.5, 12.5)
    assert (wanted.options, wanted.resources, wanted.uid) == (options, job.resources, job.uid)
    assert job.options == options


def test_what_a_job_demands_of_a_node_is_kept_as_it_was_sent(store: Store, fence: int) -> None:
    """And is the same after a move; nothing is nothing."""
    demand = Constraints.of_document(
        {
            "selector": {"pool": "größe-\U0001d49c"},
            "terms": [{"labels": [{"key": "a", "operator": "In", "values": ["1", "2"]}], "fields": []}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "value": "", "effect": ""}],
        }
    )
    job, plain = queued(store, fence, constraints=demand), queued(store, fence, "bob")

    store.jobs.apply(job, Event.HOLD, fence=fence, at=1.0)

    kept = {job.user: job.constraints for job in store.jobs.open()}
    assert kept == {"alice": demand, "bob": Constraints()}
    assert plain.constraints == Constraints()


def test_key_is_a_random_number_of_128_bits_and_the_id_is_never_given_twice(store: Store, fence: int) -> None:
    """Neither the key nor the id of a forgotten job comes back."""
    first = ended(store, fence)
    store.jobs.expire(before=100.0, fence=fence)

    second = queued(store, fence)

    assert second.id > first.id
    assert second.key != first.key
    assert len(bytes.fromhex(second.key)) == 16


def test_repeated_post_is_answered_with_the_job_it_made(store: Store, fence: int) -> None:
    """A request that arrives twice makes one job."""
    wanted = request()

    job, _ = store.jobs.submit(wanted, fence=fence, at=0.0)

    assert store.jobs.submit(wanted, fence=fence, at=9.0) == (job, False)
    assert store.jobs.open() == (job,)


def test_request_that_arrives_after_its_job_ended_starts_nothing(store: Store, fence: int) -> None:
    """A POST that was on its way while the job was cancelled does not bring it back."""
    wanted = request()
    job, _ = store.jobs.submit(wanted, fence=fence, at=0.0)
    job = store.jobs.apply(job, Event.CANCEL, fence=fence, at=1.0)

    assert store.jobs.submit(wanted, fence=fence, at=2.0) == (job, False)
    assert store.jobs.open() == ()


def test_request_that_only_attached_is_remembered_too(store: Store, fence: int) -> None:
    """The second start() of a job may be repeated as late as the first."""
    job = queued(store, fence, at=0.0)
    again = request(job.user)
    attached = store.jobs.submit(again, fence=fence, at=1.0)
    gone = store.jobs.apply(job, Event.CANCEL, fence=fence, at=2.0)

    assert attached == (job, False)
    assert store.jobs.submit(again, fence=fence, at=3.0) == (gone, False)


def test_same_request_of_another_user_is_another_job(store: Store, fence: int) -> None:
    """Nobody is ever answered with somebody else's job."""
    alice, _ = store.jobs.submit(request("alice", request="r"), fence=fence, at=0.0)
    bob, new = store.jobs.submit(request("bob", request="r"), fence=fence, at=0.0)

    assert new
    assert (alice.user, bob.user) == ("alice", "bob")


def test_user_and_server_have_one_open_job(store: Store, fence: int) -> None:
    """Another start of the same server attaches; after the end it makes a new job."""
    first = queued(store, fence, "alice", "lab")

    attached, new = store.jobs.submit(request("alice", "lab", gpus=8), fence=fence, at=5.0)
    store.jobs.apply(first, Event.CANCEL, fence=fence, at=6.0)
    later, made = store.jobs.submit(request("alice", "lab"), fence=fence, at=7.0)

    assert (attached, new) == (first, False)
    assert made
    assert later.id != first.id


def test_database_itself_refuses_a_second_open_job(store: Store, fence: int, address: str) -> None:
    """The unique index holds whatever a program does."""
    job = queued(store, fence)
    columns = ", ".join(c.name for c in jobs.columns if c.name not in ("id", "job_key"))
    copy = f"INSERT INTO jobs (job_key, {columns}) SELECT 'other', {columns} FROM jobs WHERE id = :id"  # noqa: S608

    with pytest.raises(IntegrityError):
        rows(address, copy, {"id": job.id})


NAMES = [
    ("alice", ""),
    ("Alice", ""),
    ("alice ", ""),
    (" alice", ""),
    ("alice", " "),
    ("a", "b-c"),
    ("a-b", "c"),
    ("a", "b"),
    ("ab", ""),
    ("", "ab"),
    ("a\tb", ""),
    ("a/b", "c"),
    ("a", "b/c"),
    ("%", "_"),
    ("strasse", ""),
    ("straße", ""),
    (unicodedata.normalize("NFC", "zoë"), ""),
    (unicodedata.normalize("NFD", "zoë"), ""),
    ("\ufb01", ""),  # one character that looks like two
    ("fi", ""),
    ("\u212a", ""),  # the Kelvin sign
    ("K", ""),
    ("null", "NULL"),
    ("\u0131", ""),
    ("i", ""),
    ("\U0001d49c", "\U0001f984"),
    ("x" * 255, "y" * 255),
    ("x" * 255, "y" * 254),
]


def test_names_are_compared_byte_for_byte(store: Store, fence: int, address: str) -> None:
    """Names that look alike, fold alike or join alike are different users; each name comes back as it went in."""
    made = [store.jobs.submit(request(user, server, request="r"), fence=fence, at=0.0) for user, server in NAMES]

    assert all(new for _, new in made)
    assert [(job.user, job.server) for job, _ in made] == NAMES
    assert [(job.user, job.server) for job in store.jobs.open()] == NAMES
    for job, _ in made:
        store.jobs.apply(job, Event.CANCEL, fence=fence, at=1.0)
    for user, server in NAMES:
        assert (user, server) in {(job.user, job.server) for job in store.jobs.ended(since=0.0, user=user)}
        assert {user} == {job.user for job in store.jobs.ended(since=0.0, user=user)}


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("user", {"user": "x" * 256}),
        ("user", {"user": "nul\x00"}),
        ("user", {"user": "half \ud800"}),
        ("server", {"server": "x" * 256}),
        ("name", {"name": "x" * 256}),
        ("request", {"request": "x" * 256}),
        ("lease", {"lease": float("nan")}),
        ("lease", {"lease": float("inf")}),
        ("lease", {"lease": 10**400}),
        ("uid", {"uid": 2**63}),
        ("uid", {"uid": True}),
        ("options", {"options": {"x": {1, 2}}}),
        ("options", {"options": {"x": float("nan")}}),
    ],
)
def test_value_that_some_database_cannot_keep_is_refused_by_name(
    store: Store, fence: int, address: str, field: str, fields: dict[str, object]
) -> None:
    """The same values are refused on every backend, before anything is written."""
    before = everything(address)

    with pytest.raises(Unstorable) as refused:
        store.jobs.submit(request(**fields), fence=fence, at=0.0)  # type: ignore[arg-type]

    assert (field, before) == (refused.value.field, everything(address))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(value=2.2250738585072014e-308)
@example(value=-2.2250738585072014e-308)
@example(value=5e-324)
@example(value=-1.7976931348623157e308)
def test_real_number_comes_back_to_the_last_bit(store: Store, fence: int, value: float) -> None:
    """A place in the line is a real number: rounded, it would be somebody else's."""
    made = store.nodes.mark("n1", drained=True, note="", by="", fence=fence, at=value)

    assert store.nodes.marks()["n1"].at == made.at == value


def test_long_words_are_kept_whole(store: Store, fence: int) -> None:
    """More than the 64 KiB where MySQL's TEXT ends, in characters of four bytes."""
    options = {"text": "\U0001f984" * 30_000}
    note = "\U0001f984" * 30_000
    job = queued(store, fence, options=options)

    job = store.jobs.apply(job, Event.HOLD, fence=fence, at=1.0, note=note, message=note)

    assert (job.options, job.message) == (options, note)
    assert store.jobs.get(job.id) == job
    assert store.jobs.events(job.id)[-1].note == note


def test_memory_beyond_64_bits_is_refused(store: Store, fence: int) -> None:
    """More memory than a BIGINT can count is a refusal, not a crash of the driver."""
    with pytest.raises(Unstorable, match="memory is"):
        store.jobs.submit(replace(request(), resources=Resources(memory=2**63)), fence=fence, at=0.0)


def test_open_jobs_come_in_the_order_of_their_places(store: Store, fence: int) -> None:
    """By the time they queued, then by number."""
    later = queued(store, fence, "late", at=5.0)
    same = [queued(store, fence, f"user{n}", at=5.0) for n in range(3)]
    gone = queued(store, fence, "gone", at=6.0)
    store.jobs.apply(gone, Event.CANCEL, fence=fence, at=7.0)

    assert [job.id for job in (later, *same)] == [job.id for job in store.jobs.open()]


def test_clock_set_back_lets_nobody_pass(store: Store, fence: int) -> None:
    """A request that comes later queues behind, whatever the clock says; when it came is kept as the clock had it."""
    first = queued(store, fence, "first", at=5000.0)
    second = queued(store, fence, "second", at=1400.0)

    moved = store.jobs.apply(first, Event.REPLACE, fence=fence, at=1500.0, queued=1500.0)

    assert [job.user for job in store.jobs.open()] == ["second", "first"]
    assert second.submitted == 1400.0
    assert moved == store.jobs.get(first.id)


def test_requeued_job_keeps_its_place_and_gives_its_devices_back(store: Store, fence: int, address: str) -> None:
    """REQUEUE leads to the old place, without a placement."""
    job = admitted(store, fence, "first")
    behind = queued(store, fence, "second", at=1.0)

    job = store.jobs.apply(job, Event.REQUEUE, fence=fence, at=2.0)

    assert (job.state, job.placement) == (State.QUEUED, None)
    assert held(address) == []
    assert (job, behind) == store.jobs.open()


def test_every_change_reads_back_as_it_was_answered(store: Store, fence: int) -> None:
    """What apply() returns is what get() finds, for every field that can change."""
    job = queued(store, fence)
    steps: list[tuple[Event, dict[str, object]]] = [
        (
            Event.REPLACE,
            {"resources": Resources(cpus=2, memory=2**40, gpus={"a": 1, "b": 2}, others={"pods": 1}), "queued": 3.0},
        ),
        (Event.REPLACE, {"options": {"t": (1, 2)}, "name": "new", "profile": "p", "lease": 7, "uid": 1000}),
        (Event.HOLD, {"message": "why \x00\ud800"}),
        (Event.RELEASE, {"message": "", "not_before": 9.5, "request": "another"}),
        (Event.ADMIT, {"placement": on("n1", "g1", "g0"), "admitted": 10.0}),
        (Event.LAUNCH, {"launch": 1}),
        (Event.CLAIM, {"pid": 4_194_304, "pid_started": 2**40}),
        (Event.READY, {"started": 11.0, "ends": 20.0, "failures": 2, "failed_on": ("dgx1", "größe")}),
        (Event.EXTEND, {"ends": 30.0, "extended": 10.0}),
        (Event.WARN, {"warned": 29.0}),
        (Event.STOP, {"end": End.EXPIRED, "message": "m"}),
        (Event.GONE, {}),
    ]

    for event, changes in steps:
        version = job.version
        job = store.jobs.apply(job, event, fence=fence, at=40.0, **changes)
        assert job == store.jobs.get(job.id)
        assert version + 1 == job.version

    assert (State.ENDED, End.EXPIRED, 40.0, on("n1", "g1", "g0")) == (job.state, job.end, job.ended, job.placement)


def test_move_of_a_job_that_moved_since_it_was_read_changes_nothing(store: Store, fence: int, address: str) -> None:
    """Compare and set: the second of two writers that read the same version is refused."""
    read = queued(store, fence)
    store.jobs.apply(read, Event.HOLD, fence=fence, at=1.0)
    before = everything(address)

    with pytest.raises(JobChanged) as refused:
        store.jobs.apply(read, Event.ADMIT, fence=fence, at=2.0, placement=on("n1", "gpu0"))

    assert (read.id, before) == (refused.value.job, everything(address))


def test_move_of_a_forgotten_job_is_refused(store: Store, fence: int) -> None:
    """A job that is no longer there has changed."""
    read = queued(store, fence)
    store.jobs.apply(read, Event.CANCEL, fence=fence, at=1.0)
    store.jobs.expire(before=2.0, fence=fence)

    with pytest.raises(JobChanged):
        store.jobs.apply(read, Event.HOLD, fence=fence, at=3.0)


def test_event_that_the_table_does_not_know_changes_nothing(store: Store, fence: int, address: str) -> None:
    """The table of states decides, and names what is possible."""
    job = queued(store, fence)
    before = everything(address)

    with pytest.raises(InvalidTransition, match="possible: replace, hold, cancel, reject, admit"):
        store.jobs.apply(job, Event.READY, fence=fence, at=1.0)

    assert before == everything(address)


def test_device_that_another_job_holds_is_refused_and_named(store: Store, fence: int, address: str) -> None:
    """A GPU promised twice is stopped by the database, and the job stays queued."""
    holder = admitted(store, fence, "alice", devices=("gpu1", "gpu2"))
    job = queued(store, fence, "bob")

    with pytest.raises(DeviceTaken) as refused:
        store.jobs.apply(job, Event.ADMIT, fence=fence, at=2.0, placement=on("n1", "gpu0", "gpu2", "gpu1"))

    assert ("n1", "gpu1", holder.id) == (refused.value.node, refused.value.device, refused.value.job)
    assert job == store.jobs.get(job.id)
    assert [("n1", "gpu1", holder.id), ("n1", "gpu2", holder.id)] == held(address)


def test_same_device_name_on_another_node_is_another_device(store: Store, fence: int) -> None:
    """A device is named by its node and its own name."""
    admitted(store, fence, "alice", devices=("0",))
    job = queued(store, fence, "bob")

    assert store.jobs.apply(job, Event.ADMIT, fence=fence, at=2.0, placement=on("n2", "0")).holding


def test_database_itself_refuses_a_device_held_twice(store: Store, fence: int, address: str) -> None:
    """The unique (node, device) holds whatever a program does."""
    admitted(store, fence, devices=("gpu0",))
    other = queued(store, fence, "bob")

    with pytest.raises(IntegrityError):
        rows(address, "INSERT INTO held_devices (node, device, job_id) VALUES ('n1', 'gpu0', :job)", {"job": other.id})


@pytest.mark.parametrize("last", [Event.CANCEL, Event.REJECT, Event.GONE])
def test_ended_job_holds_nothing_and_remembers_where_it_was(
    store: Store, fence: int, address: str, last: Event
) -> None:
    """Every way into the end gives the devices back at once."""
    job = admitted(store, fence, devices=("gpu0", "gpu1"))
    if last is Event.GONE:
        job = store.jobs.apply(job, Event.LAUNCH, fence=fence, at=2.0, launch=1)
        job = store.jobs.apply(job, Event.STOP, fence=fence, at=3.0, end=End.STOPPED)
        assert len(held(address)) == 2

    job = store.jobs.apply(job, last, fence=fence, at=4.0)

    assert (on("n1", "gpu0", "gpu1"), []) == (job.placement, held(address))
    assert admitted(store, fence, "bob", devices=("gpu0", "gpu1")).holding


def test_replaced_admitted_job_gives_its_devices_back(store: Store, fence: int, address: str) -> None:
    """Other options mean a new place, and nothing held until it is reached."""
    job = store.jobs.apply(admitted(store, fence), Event.REPLACE, fence=fence, at=9.0, queued=9.0)

    assert (job.state, job.placement, held(address)) == (State.QUEUED, None, [])


def test_story_tells_who_did_what_when(store: Store, fence: int) -> None:
    """Each move is one line, in the order of the moves, with the state it led to."""
    job = queued(store, fence, "alice", at=1.0)
    job = store.jobs.apply(job, Event.HOLD, fence=fence, at=2.0, by="root", note="look\x00", detail={"a": [1]})
    job = store.jobs.apply(job, Event.CANCEL, fence=fence, at=1.5, by="alice")
    queued(store, fence, "bob")

    first, second, third = store.jobs.events(job.id)

    assert (
        first.event,
        first.state,
        first.at,
        first.by,
        first.version,
    ) == (Event.SUBMIT, State.QUEUED, 1.0, "alice", 1)
    assert (second.event, second.state, second.at, second.by) == (Event.HOLD, State.HELD, 2.0, "root")
    assert (second.note, second.detail) == ("look\ufffd", {"a": [1]})
    assert (third.event, third.state, third.at, third.by) == (Event.CANCEL, State.ENDED, 1.5, "alice")
    assert first.seq < second.seq < third.seq
    assert {job.id} == {line.job for line in store.jobs.events(job.id)}


def test_recent_ends_come_newest_first_and_in_portions(store: Store, fence: int) -> None:
    """By the time of the end; of one user; not more than asked for."""
    for n, user in enumerate(["alice", "bob", "alice", "carol"]):
        ended(store, fence, user, at=float(n))

    assert [job.user for job in store.jobs.ended(since=1.0)] == ["carol", "alice", "bob"]
    assert [job.ended for job in store.jobs.ended(since=0.0, user="alice")] == [2.0, 0.0]
    assert [job.ended for job in store.jobs.ended(since=0.0, limit=1)] == [3.0]


def test_unknown_job_is_none(store: Store) -> None:
    """Neither a number nor a key that nobody has is an error, also not one that no database could keep."""
    assert store.jobs.get(7) is None
    assert store.jobs.get(2**63) is None
    assert store.jobs.by_key("nobody\x00\ud800") is None
    assert store.jobs.events(7) == ()
    assert store.jobs.ended(since=0.0, user="\x00") == ()

"""Random histories of a queue, and a naive model beside them that says what must be true.

Two managers with fences of their own, of which one leads; jobs that were read long ago; crashes in the middle of a
write; restarts. Run on each database by test_history.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from sqlalchemy import Engine, select
from sqlalchemy import event as engine_event

from gpuqueue_spawner.model import TRANSITIONS, End, Event, InvalidTransition, Job, State
from gpuqueue_spawner.store import DeviceTaken, JobChanged, Lease, LeaseLost, Store
from gpuqueue_spawner.store.tables import held_devices, leader, metadata

from .builders import behind, on, request

USERS = st.sampled_from(["alice", "Alice", "bob "])
SERVERS = st.sampled_from(["", "lab"])
MANAGERS = st.sampled_from(["one", "two"])
WRITERS = st.sampled_from(["leader", "leader", "leader", "one", "two"])  #: mostly who may, so that histories get far
DEVICES = st.lists(st.sampled_from(["gpu0", "gpu1", "gpu2"]), unique=True, max_size=2).map(tuple)

#: where a job has several ways on, the first of these leads towards its end
FORWARD = (Event.RELEASE, Event.ADMIT, Event.READY, Event.LAUNCH, Event.GONE, Event.STOP, Event.REQUEUE)

T = TypeVar("T")


def empty(engine: Engine) -> None:
    """Forget everything but the tables."""
    with engine.begin() as tx:
        for table in reversed(metadata.sorted_tables):
            if table is not leader:
                tx.execute(table.delete())
        tx.execute(leader.update().values(holder="", host="", fence=0, beat=0))


class Crash(Exception):
    """The process dies here."""


@dataclass
class Told:
    """What the model knows of one job: only what was acknowledged."""

    job: Job  #: as the last acknowledged write answered it
    story: list[tuple[Event, State]] = field(default_factory=list)


class History(RuleBasedStateMachine):
    """The store against the model."""

    address: str  #: of a database with tables; set by the test

    read = Bundle("read")  #: jobs as somebody once read them
    seen = Bundle("seen")  #: leases as somebody once saw them

    def __init__(self) -> None:
        super().__init__()
        self.behind = behind(self.address)  # what the database really has, behind the store's back
        empty(self.behind)
        self.managers = {name: Store(self.address) for name in ("one", "two")}
        self.fences = {"one": 0, "two": 0}
        self.told: dict[int, Told] = {}
        self.requests: dict[tuple[str, str, str], int] = {}
        self.forgotten: set[int] = set()
        self.lease: Lease | None = None
        self.fence = 0  #: the last that was given out
        self.line: list[int] = []  #: open jobs in the order of their places
        self.now = 1000.0
        self.touched: set[int] = set()  #: jobs whose story grew since it was last read

    def teardown(self) -> None:
        """Close what is open."""
        for store in self.managers.values():
            store.close()
        self.behind.dispose()

    # leadership

    @rule(target=seen, manager=MANAGERS)
    def look(self, manager: str) -> Lease | None:
        """See who leads."""
        lease = self.managers[manager].leader.read()
        assert lease == self.lease
        return lease

    @rule(manager=MANAGERS, lease=seen)
    def take(self, manager: str, lease: Lease | None) -> None:
        """Take leadership by what was seen, perhaps long ago."""
        fence = self.managers[manager].leader.take(manager, "host", seen=lease)

        if lease != self.lease:
            assert fence is None
            return
        assert fence == self.fence + 1
        self.fence = self.fences[manager] = fence
        self.lease = Lease(holder=manager, fence=fence, beat=0, host="host")

    @rule(manager=MANAGERS)
    def lead(self, manager: str) -> None:
        """Take leadership by what is true now, so that histories get somewhere."""
        self.take(manager, self.lease)

    @rule(writer=WRITERS, end=st.sampled_from([False, False, True]))
    def renew_or_give_up(self, writer: str, end: bool) -> None:
        """Show that the leader lives, or let the next one lead."""
        if end:
            if self._fenced(writer, lambda store, fence: store.leader.give_up(fence)):
                self.lease = None
        elif self._fenced(writer, lambda store, fence: store.leader.renew(fence)) and self.lease:
            self.lease = replace(self.lease, beat=self.lease.beat + 1)

    # jobs

    @rule(target=read, writer=WRITERS, user=USERS, server=SERVERS, number=st.integers(1, 4))
    def submit(self, writer: str, user: str, server: str, number: int) -> Any:
        """Post a request, which may be one that was posted before."""
        wanted = request(user, server, request=f"r{number}")
        answer = self._fenced(writer, lambda store, fence: store.jobs.submit(wanted, fence=fence, at=self.now))
        if not answer:
            return multiple()
        job, new = answer[0]

        known = self.requests.get((user, server, wanted.request)) or self._open(user, server)
        assert new is (known is None)
        if known:
            self._expect(job == self.told[known].job, known, f"the request was answered with {job}")
        else:
            assert job.id not in self.told.keys() | self.forgotten
            self.told[job.id] = Told(job, [(Event.SUBMIT, State.QUEUED)])
            self.touched.add(job.id)
            self.line.append(job.id)
        self.requests[user, server, wanted.request] = job.id
        return job

    @rule(target=read, writer=WRITERS, job=read, event=st.sampled_from(Event), devices=DEVICES)
    def apply(self, writer: str, job: Job, event: Event, devices: tuple[str, ...]) -> Any:
        """Move a job as it was once read by some event, possible or not."""
        return self._apply(writer, job, event, devices)

    @rule(target=read, writer=WRITERS, number=st.integers(0, 5), step=st.integers(0, 5), devices=DEVICES)
    def step(self, writer: str, number: int, step: int, devices: tuple[str, ...]) -> Any:
        """Move a job as it is by a possible event."""
        if not self.line:
            return multiple()
        job = self.told[self.line[number % len(self.line)]].job
        events = self._events(job)
        return self._apply(writer, job, events[step % len(events)], devices)

    @rule(target=read, number=st.integers(0, 5), steps=st.integers(1, 5), devices=DEVICES)
    def advance(self, number: int, steps: int, devices: tuple[str, ...]) -> Any:
        """Move a job on towards its end, as most jobs go."""
        if not self.line:
            return multiple()
        id = self.line[number % len(self.line)]
        for _ in range(steps):
            job = self.told[id].job
            if job.open:
                self._apply("leader", job, next(e for e in FORWARD if e in self._events(job)), devices)
        return self.told[id].job

    @rule(number=st.integers(0, 5), where=st.sampled_from(["UPDATE jobs", "INSERT INTO job_events", "COMMIT"]))
    def crash(self, number: int, where: str) -> None:
        """Die in the middle of a move: nothing of it is there afterwards."""
        if not self.line:
            return
        manager = self._who("leader")
        job = self.told[self.line[number % len(self.line)]].job
        event = next(event for event in FORWARD if event in self._events(job))
        engine = self.managers[manager]._database.engine

        def die(*args: Any) -> None:
            if where == "COMMIT" or args[2].startswith(where):
                raise Crash

        hook = "commit" if where == "COMMIT" else "after_cursor_execute"
        engine_event.listen(engine, hook, die)
        try:
            self._move(self.managers[manager], self.fences[manager], job, event, ("gpu3",))
        except Crash:
            pass
        else:
            raise AssertionError("a write that crashed was acknowledged")
        finally:
            engine_event.remove(engine, hook, die)
        self.restart(manager)

    @rule(writer=WRITERS, age=st.sampled_from([0.0, 50.0]))
    def expire(self, writer: str, age: float) -> None:
        """Forget what ended long ago."""
        before = self.now - age
        answer = self._fenced(writer, lambda store, fence: store.jobs.expire(before=before, fence=fence))
        if not answer:
            return
        old = {id for id, told in self.told.items() if told.job.ended is not None and told.job.ended < before}
        assert answer[0] == len(old)
        for id in old:
            del self.told[id]
        self.forgotten |= old
        self.touched -= old
        self.requests = {key: id for key, id in self.requests.items() if id not in old}

    @rule(manager=MANAGERS)
    def restart(self, manager: str) -> None:
        """End a manager and start it again: nothing that counts lives in it."""
        self.managers[manager].close()
        self.managers[manager] = Store(self.address)
        self.managers[manager].check()

    @rule()
    def read_every_story(self) -> None:
        """No story changes once it was told."""
        self.touched |= self.told.keys()

    @rule(seconds=st.sampled_from([1.0, 60.0, -3600.0]))
    def pass_time(self, seconds: float) -> None:
        """Let the clock go on, or be set back."""
        self.now += seconds

    # what must be true

    @invariant()
    def no_acknowledged_job_is_lost(self) -> None:
        """Each reads back exactly as it was last acknowledged, in the order of the places."""
        store = self.managers["one"]
        line = store.jobs.open()
        found = {job.id: job for job in (*line, *store.jobs.ended(since=-1e9))}
        for id, told in self.told.items():
            self._expect(found.get(id) == told.job, id, f"it is {found.get(id)}, acknowledged was {told.job}")
        assert found.keys() == self.told.keys()
        assert [job.id for job in line] == self.line

    @invariant()
    def every_device_is_held_once(self) -> None:
        """The rows of held devices are exactly what the holding jobs were given."""
        expected = sorted(
            (job.placement.node, device, job.id)
            for job in (told.job for told in self.told.values())
            if job.holding and job.placement
            for device in job.placement.devices
        )
        with self.behind.begin() as tx:
            found = [tuple(row) for row in tx.execute(select(held_devices).order_by(*held_devices.primary_key))]
        assert found == expected, "\n".join(self._story(job) for _, _, job in found)
        assert len({(node, device) for node, device, _ in found}) == len(found)

    @invariant()
    def every_user_and_server_has_one_open_job(self) -> None:
        """No two of the jobs in the line are of the same user and server."""
        for id in self.line:
            job = self.told[id].job
            self._expect(not (job.waiting and (job.placement or job.end)), id, "it waits and holds or ends")
        names = [(self.told[id].job.user, self.told[id].job.server) for id in self.line]
        assert len(names) == len(set(names))

    @invariant()
    def every_story_leads_to_the_state(self) -> None:
        """The log is the acknowledged story, its versions rise by one, and the table of states allows each step."""
        while self.touched:
            id = self.touched.pop()
            told = self.told[id]
            lines = self.managers["two"].jobs.events(id)
            self._expect([(line.event, line.state) for line in lines] == told.story, id, f"told was {told.story}")
            self._expect([line.version for line in lines] == [*range(1, told.job.version + 1)], id, "versions")
            self._expect([line.seq for line in lines] == sorted({line.seq for line in lines}), id, "numbers")
            state = lines[0].state
            for line in lines[1:]:
                state = TRANSITIONS[state][line.event]
                self._expect(state is line.state, id, f"the table leads to {state}, not {line.state}")
            self._expect(state is told.job.state, id, f"the story leads to {state}, the job is {told.job.state}")

    # how the model thinks

    def _who(self, writer: str) -> str:
        """The manager behind a writer; where the leader is asked for and nobody leads, one of them does from now on."""
        if writer != "leader":
            return writer
        if self.lease is None:
            self.take("one", None)
        assert self.lease
        return self.lease.holder

    def _events(self, job: Job) -> list[Event]:
        return [event for event in TRANSITIONS[job.state] if self._makes_sense(job, event)]

    def _apply(self, writer: str, job: Job, event: Event, devices: tuple[str, ...]) -> Any:
        told, manager = self.told.get(job.id), self._who(writer)
        try:
            moved = self._move(self.managers[manager], self.fences[manager], job, event, devices)
        except InvalidTransition:
            assert event not in TRANSITIONS[job.state]
            return multiple()
        except ValueError:
            assert not self._makes_sense(job, event)
            return multiple()
        except LeaseLost:
            assert not self._leads(manager)
            return multiple()
        except JobChanged:
            self._expect(told is None or told.job.version != job.version, job.id, "it had not changed")
            return multiple()
        except DeviceTaken as taken:
            holder = self.told[taken.job].job
            self._expect(holder.holding and taken.device in holder.placement.devices, taken.job, "it held nothing")  # type: ignore[union-attr]
            return multiple()

        assert self._leads(manager)
        assert told, "a forgotten job was moved"
        self._expect(told.job == job, job.id, "an old version was moved")
        told.job = moved
        told.story.append((event, moved.state))
        self.touched.add(job.id)
        if event is Event.REPLACE or not moved.open:
            self.line.remove(job.id)
        if event is Event.REPLACE:
            self.line.append(job.id)
        return moved

    def _move(self, store: Store, fence: int, job: Job, event: Event, devices: tuple[str, ...]) -> Job:
        changes: dict[str, Any] = {
            Event.ADMIT: {"placement": on("n1", *devices)},
            Event.REPLACE: {"queued": self.now},
            Event.LAUNCH: {"launch": job.launch + 1},
            Event.STOP: {"end": job.end or (End.STOPPED if devices else None)},
        }.get(event, {})
        return store.jobs.apply(job, event, fence=fence, at=self.now, **changes)

    def _makes_sense(self, job: Job, event: Event) -> bool:
        """What the store refuses besides the table: an end without a kind, and a way back from a named end."""
        if event is Event.GONE:
            return job.end is not None
        return not (event is Event.REQUEUE and job.end is not None)

    def _leads(self, manager: str) -> bool:
        return self.lease is not None and self.fences[manager] == self.fence

    def _fenced(self, writer: str, write: Callable[[Store, int], T]) -> tuple[T] | None:
        """Write as a manager, None: it was refused, which must be because it does not lead."""
        manager = self._who(writer)
        try:
            answer = write(self.managers[manager], self.fences[manager])
        except LeaseLost as lost:
            assert not self._leads(manager)
            return self._expect_lost(lost)
        assert self._leads(manager)
        return (answer,)

    def _expect_lost(self, lost: LeaseLost) -> None:
        assert lost.current == self.fence

    def _open(self, user: str, server: str) -> int | None:
        mine = (id for id in self.line if (self.told[id].job.user, self.told[id].job.server) == (user, server))
        return next(mine, None)

    def _expect(self, true: bool, job: int, words: str) -> None:
        assert true, f"job {job}: {words}\n{self._story(job)}"

    def _story(self, job: int) -> str:
        """A job's own log, for whoever reads a failure."""
        lines = self.managers["one"].jobs.events(job)
        return "\n".join(
            f"  {line.seq}: job {job} {line.event} -> {line.state}, version {line.version}, at {line.at:g}"
            for line in lines
        )

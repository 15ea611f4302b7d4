"""The mixin that turns any JupyterHub spawner into one that waits in the queue before it launches.

Knows what the Hub calls and when, and the seams that a site may override. One wait, from request to notebook: turns.py.
What is asked for: profiles.py. What people see meanwhile: progress.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from jupyterhub.spawner import Spawner
from jupyterhub.traitlets import Callable as CallableTrait
from jupyterhub.utils import maybe_future
from traitlets import Dict, Float, Integer, List, Unicode, Union, default, validate

from ..model import Fate
from .advice import advise_once
from .client import INSTANCE, QueueClient
from .errors import SpawnRefused
from .form import render_form
from .jobs import JobView, Permit, amounts
from .profiles import ProfileReader, Rules, Wish, read_wish
from .progress import Progress
from .turns import Turn
from .unsent import FILE, JOBS, Message
from .users import Identity

T = TypeVar("T")

STOP_S = 5.0  #: how long a stop waits for the queue; then the processes are ended anyway, and the queue is told later


class QueueingMixin(Spawner):  # type: ignore[misc]  # JupyterHub ships no types
    """Put before a spawner's class, it makes start() wait in the queue: `class Mine(QueueingMixin, DockerSpawner)`.

    Seams, in order of rising effort; start() calls each of them unless it says otherwise:

    1. set `profile_list`, `default_hours`, `max_hours`, `launch_timeout`: enough for most sites;
    2. override `wish()`: what is asked for, where profiles do not say it;
    3. override `identity()`: the numeric user of the processes, told to the queue, which looks for strays by it;
    4. override `launch()`: start what the permit allows and return its URL. The default calls the start() of the class
       that it was mixed with, whose environment `get_env()` has extended by the permit's;
    5. override `poll_launch()` and `end_launch()`: whether what `launch()` started lives, and end it. Called while the
       notebook is awaited, after a failed launch, and by poll() and stop(). The defaults call the poll() and stop() of
       the class that it was mixed with;
    6. override `exit_status()`: how what `launch()` started ended, where `poll_launch()` does not tell the truth of it.
       poll() calls it once the server is gone;
    7. override `fate()`: that it was taken away from its owner, where that can be. poll() calls it then too.
    """

    manager_url = Unicode(
        "http://127.0.0.1:8083",
        config=True,
        help="""
        Address of the queue manager, not through the proxy.

        `gpuqueue_spawner.hub.configure()` sets it.

        .. versionadded:: 0.1
        """,
    )
    spawner_secret_file = Unicode(
        "",
        config=True,
        help="""
        File with the secret that this Hub's spawners show to the queue manager; mode 0600.

        It is good for the spawner's requests only. `gpuqueue_spawner.hub.configure()` sets it.

        .. versionadded:: 0.1
        """,
    )
    unsent_file = Unicode(
        FILE,
        config=True,
        help="""
        File that keeps what the queue could not be told while it did not answer.

        A relative name is one in the Hub's working folder. It must outlive the Hub's process.
        `gpuqueue_spawner.hub.configure()` sets it.

        .. versionadded:: 0.1
        """,
    )
    profile_list = Union(
        [List(trait=Dict()), Dict(), CallableTrait()],
        config=True,
        help="""
        Profiles to choose from, in the format of KubeSpawner's `profile_list`.

        The keys `cpu_guarantee`, `cpu_limit`, `mem_guarantee`, `mem_limit`, `extra_resource_guarantees` and
        `extra_resource_limits` of `kubespawner_override` say what a job takes: the guarantee, else the limit.

        .. versionadded:: 0.1
        """,
    )
    default_hours = Float(
        8.0,
        config=True,
        help="""
        Hours a job may run when its owner does not say how long.

        .. versionadded:: 0.1
        """,
    )
    max_hours = Float(
        24.0,
        config=True,
        help="""
        Most hours a job may ask for.

        Raise it where people train for days; the GPUs of whoever forgets to stop are then back as much later.

        .. versionadded:: 0.1
        """,
    )
    launch_timeout = Float(
        300.0,
        config=True,
        help="""
        Seconds from the permit to launch until the notebook must answer; then its GPUs go back and the job waits again.

        Raise it where images are pulled on first use. The Hub's own `start_timeout` covers the whole wait instead.

        .. versionadded:: 0.1
        """,
    )
    form_timeout = Float(
        2.0,
        config=True,
        help="""
        Seconds the spawn form waits for the queue's estimates; after them it is shown without.

        .. versionadded:: 0.1
        """,
    )
    job_id = Integer(0, help="Id of the job this server runs for; 0: none.")
    job_key = Unicode("", help="Key that its processes carry.")
    job_launch = Integer(0, help="Number of the launch that made them.")

    _turn: Turn | None = None  # set while this process holds an open job: see poll()
    _permit: Permit | None = None  # of the last launch
    _token = ""  # of the server, from before the wait

    @default("profile_list")
    def _no_profiles(self) -> list[dict[str, Any]]:
        return []

    @validate("default_hours", "max_hours", "launch_timeout", "form_timeout")
    def _above_zero(self, proposal: Any) -> float:
        if not 0 < proposal.value < 10 * 365 * 24 * 3600:
            name = f"{type(self).__name__}.{proposal.trait.name}"
            raise ValueError(f"{name} is {proposal.value!r}; allowed is a number above 0 and below ten years")
        return float(proposal.value)

    @default("options_form")
    def _queue_form(self) -> Callable[[Any], Awaitable[str]]:
        return render_form

    @default("apply_user_options")
    def _options_are_read_at_the_start(self) -> Callable[[Any, Any], None]:
        return lambda spawner, options: None  # by wish(); without it the Hub warns of them at each start

    @default("options_from_form")
    def _queue_options_from_form(self) -> Callable[[Mapping[str, Sequence[str]]], Awaitable[dict[str, Any]]]:
        return self.read_form

    def __init__(self, *args: Any, **traits: Any) -> None:
        super().__init__(*args, **traits)
        self.queue_progress = Progress()
        advise_once(self.log)

    # The seams

    async def wish(self) -> Wish:
        """What this request asks for; seam 2.

        :raises SpawnRefused: the options are not among what the site allows.
        """
        profiles = await self.profiles()
        return read_wish(self.user_options, profile_list=profiles, rules=self.rules, spawner=self)

    async def identity(self) -> Identity | None:
        """The numeric user that the processes run under, None: the Hub's own; seam 3."""
        return None

    async def launch(self, permit: Permit) -> Any:
        """Start the server that `permit` allows, return its URL or (host, port); seam 4."""
        return await maybe_future(super().start())

    async def poll_launch(self) -> int | None:
        """None while what launch() started lives, else its exit status; seam 5."""
        status: int | None = await super().poll()
        return status

    async def end_launch(self, *, now: bool = False) -> None:
        """End what launch() started and return when it is gone; seam 5."""
        await super().stop(now=now)

    async def exit_status(self) -> int | None:
        """How what launch() started ended: 0 well, below 0 a signal, None: that is not known; seam 6."""
        status = await self.poll_launch()
        return status if isinstance(status, int) else None  # some spawners answer in words

    def fate(self) -> Fate | None:
        """What else than its own end became of what launch() started, None: nothing else; seam 7."""
        return None

    # What profiles and form are made of

    @property
    def rules(self) -> Rules:
        """What the site allows besides its profiles."""
        return Rules(default_hours=self.default_hours, max_hours=self.max_hours)

    async def profiles(self) -> Any:
        """The profile list, asked anew where the site made it a callable."""
        profiles = self.profile_list
        return await maybe_future(profiles(self)) if callable(profiles) else profiles

    async def read_form(self, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """What a submitted form says, checked; the Hub calls it."""
        profiles = await self.profiles()
        options = ProfileReader.of(profiles).parse_form(form)
        return dict(read_wish(options, profile_list=profiles, rules=self.rules, spawner=self).options)

    def clock(self) -> float:
        """Unix seconds."""
        return time.time()

    @property
    def queue(self) -> QueueClient:
        """The Hub's one connection to the queue."""
        client = QueueClient.shared(
            url=self.manager_url, secret_file=self.spawner_secret_file, unsent_file=self.unsent_file
        )
        client.start()
        return client

    # What the Hub calls

    async def start(self) -> str:
        """Wait in the queue, launch when it is this job's turn, return the URL of a notebook that answers."""
        self.queue_progress.begin()
        self._token = self.api_token
        turn = None
        try:
            self._turn = turn = Turn(self, self.queue, body=await self._request())
            url = await turn.take()
        except SpawnRefused:
            self._let_go(turn)
            self._forget_job()
            raise
        except Exception:
            # The job stays open on purpose: the Hub polls now, reads None, and stop() withdraws it.
            self.log.exception("Starting %s failed on something unexpected", self._log_name)
            words = "The Hub could not handle this request; its log says why. The request was withdrawn."
            raise SpawnRefused(words, code="gpuqueue.internal", status=500) from None
        self._let_go(turn)
        return url

    async def poll(self) -> int | None:
        """None while this process holds an open job, else whether the launched server lives.

        The Hub asks after it cancelled a start(), and calls stop() when, and only when, the answer is None. Its own
        orderly end cancels start() in the same way and asks nothing: a CancelledError withdraws nothing, stop() does.
        """
        if self._turn is not None:
            return await self.poll_launch() if self._turn.ending else None
        status = await self.poll_launch()
        if status is not None and self.job_key:
            await self._tell(self._last_words(await self.exit_status(), self.fate()))
        return status

    async def stop(self, now: bool = False) -> None:
        """End the server, or withdraw the job while it still waits. The queue is told, now or once it answers."""
        turn, self._turn = self._turn, None
        if turn is not None:
            await self._tell(turn.farewell())
        elif self.job_key:
            await self._tell(self.queue.unsent.stop(self.job_key))
        self._forget_job()  # from here on poll() has nothing to tell
        if turn is None or turn.permit is not None:
            await self.end_launch(now=now)
        self._let_go(turn)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the waiting page shows, whenever it changes."""
        async for event in self.queue_progress.events():
            yield event

    def get_env(self) -> dict[str, str]:
        """The server's environment, with the job's marks and the GPUs that it was given."""
        environment: dict[str, str] = super().get_env()
        if self._permit is not None:
            environment |= self._permit.environment
        return environment

    def get_state(self) -> dict[str, Any]:
        """What a later Hub process must know of this server."""
        state: dict[str, Any] = super().get_state()
        if self.job_id:
            state["gpuqueue"] = {"job": self.job_id, "key": self.job_key, "launch": self.job_launch}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over from an earlier Hub process."""
        super().load_state(state)
        known = state.get("gpuqueue") or {}
        self.job_id, self.job_key = int(known.get("job", 0)), str(known.get("key", ""))
        self.job_launch = int(known.get("launch", 0))

    def clear_state(self) -> None:
        """Forget the server."""
        super().clear_state()
        self._forget_job()

    # What a turn calls

    def note_job(self, job: JobView) -> None:
        """Keep which job this server runs for."""
        self.job_id, self.job_key = job.id, job.key

    async def launch_permitted(self, permit: Permit) -> str:
        """Launch with what some spawners forget when a process of theirs ends: a second try needs it again."""
        self._permit, self.api_token = permit, self._token
        self.note_job(permit.job)
        self.job_launch = permit.launch
        return _as_url(await self.launch(permit), self.internal_ssl)

    async def _request(self) -> dict[str, Any]:
        wish = await self._worded(self.wish())
        identity = await self._worded(self.identity())
        return {
            "instance": INSTANCE,
            "user": self.user.name,
            "server": self.name,
            "name": wish.name,
            "profile": wish.profile,
            "resources": amounts(wish.resources),
            "constraints": wish.constraints.document(),
            "lease": wish.lease,
            "options": dict(wish.options),
            "uid": identity.uid if identity else None,
        }

    async def _worded(self, asking: Awaitable[T]) -> T:
        """What load_user_options, hooks and profile callables of a site raise is told as a refusal."""
        try:
            return await asking
        except SpawnRefused:
            raise
        except Exception as error:
            self.log.exception("The options of %s could not be read", self._log_name)
            words = getattr(error, "jupyterhub_message", None) or f"Your options could not be read: {error}"
            raise SpawnRefused(str(words)) from error

    async def _tell(self, message: Message | None) -> None:
        if message is not None:
            await self.queue.unsent.tell(message, within=STOP_S)

    def _last_words(self, status: int | None, fate: Fate | None) -> Message:
        """How the server of the last launch ended, which nobody stopped."""
        body: dict[str, Any] = {"launch": self.job_launch, "status": status}
        if fate is not None:
            body["fate"] = {"cause": str(fate.cause), "words": fate.words}
        return Message(path=f"{JOBS}/{self.job_key}/exited", body=body)

    def _let_go(self, turn: Turn | None) -> None:
        if turn is not None:
            turn.let_go()
        if self._turn is turn:
            self._turn = None

    def _forget_job(self) -> None:
        self._permit = None
        self.job_id, self.job_key, self.job_launch = 0, "", 0


def _as_url(where: Any, internal_ssl: bool) -> str:
    if isinstance(where, str):
        return where
    host, port = where
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if internal_ssl else 'http'}://{host}:{int(port)}"

"""One turn in the queue: from the request of one start() to a notebook that answers.

Knows the order of the questions and what each answer means: ask, wait, permit, launch, answer, ready. Knows no GPU and
no other job: those are the queue's. Who takes a turn, and what is launched: queueing.py. How it is asked: client.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from ..model import State
from .answering import notebook_answers
from .client import INSTANCE, Held, QueueClient
from .errors import InvalidOption, LaunchFailed, QueueRefused, QueueUnreachable, SpawnRefused, Superseded
from .jobs import AWAY, JobView, Permit, end_words, waiting_words
from .progress import Progress
from .unsent import JOBS, Message

T = TypeVar("T")

LAUNCHABLE = frozenset({State.ADMITTED, State.STARTING, State.RESTARTING})
PERMIT_S = 90.0  #: the queue first ends what an earlier launch left, which takes it up to 20 s
RECHECK_S = 60.0  #: a stream can lose an event without an error; a missed one costs a user at most this
AGAIN_S = (1.0, 10.0)  #: first and longest pause between two tries of a request


class Turn:
    """One start() of a queueing spawner, and its job while this process holds it."""

    def __init__(self, spawner: Any, queue: QueueClient, *, body: dict[str, Any]) -> None:
        self.spawner, self.queue = spawner, queue
        self.log = spawner.log
        self.progress: Progress = spawner.queue_progress
        self.body = body  #: of the request
        self.posted = False  #: the queue may have accepted it, even if no answer came
        self.held: Held | None = None  #: the job, once the queue has named it
        self.permit: Permit | None = None  #: of the last launch
        self.ending = False  #: a failed launch is being ended: its class's stop() needs true answers from poll()
        self._renew()

    async def take(self) -> str:
        """Return the URL of a notebook that answers and that the queue knows to run.

        :raises SpawnRefused: the job ended, or was not accepted.
        """
        await self._ask()
        while True:
            await self._wait()
            permit = await self._ask_permit()
            if permit is None:
                continue
            self.permit = permit
            try:
                url = await self._launch(permit)
                if await self._tell_ready(permit):
                    return url
                await self._end_launch()
            except Superseded:
                await self._end_launch()
            except LaunchFailed as failure:
                await self._end_launch()
                await self._tell_failed(permit, failure)

    def farewell(self) -> Message | None:
        """What tells the queue that the job is not wanted any more; None: it never heard of one."""
        if not self.posted:
            return None
        if self.held is None:
            return Message(path=JOBS, body={**self.body}, withdraw=True)
        return self.queue.unsent.stop(self.held.view.key)

    def let_go(self) -> None:
        """Say that this process no longer holds the job."""
        if self.held is not None:
            self.queue.release(self.held.view.key)

    # Asking and waiting

    def _renew(self) -> None:
        self.body["request"] = secrets.token_urlsafe(16)  # a repeated POST with it is harmless

    @property
    def _job(self) -> Held:
        assert self.held is not None, "asked before anything else"
        return self.held

    async def _ask(self) -> None:
        """Put the request to the queue, for as long as it takes, and hold the job that it names.

        The same request again is harmless: it tells what became of its job.
        """
        view = await self._insist(self._post, phase="asking", percent=2)
        if self.held is not None and self.held.view.key != view.key:  # a queue that was restored from a backup
            self.queue.release(self.held.view.key)
        self.held = self.queue.hold(view)
        self.spawner.note_job(view)

    async def _ask_again(self, refused: SpawnRefused) -> None:
        """The queue said no to a step: what it knows of the job decides the next one, after a pause."""
        self.log.info("Job %s took another course: %s", self._job.view.id, refused.jupyterhub_message)
        await asyncio.sleep(AGAIN_S[0])
        await self._ask()

    async def _post(self) -> JobView:
        await self.queue.unsent.flush()  # else an earlier stop of the same server would end what is asked for now
        while True:
            try:
                answer = await self.queue.post(JOBS, self.body)
            except QueueUnreachable as error:
                self.posted = self.posted or error.received
                raise
            except asyncio.CancelledError:
                self.posted = True
                raise
            except QueueRefused as refused:
                if refused.code != "gpuqueue.job.stopping":
                    raise
                self.progress.show("ending", 3, "The previous notebook is still ending.")
                await asyncio.sleep(AGAIN_S[0])
            else:
                self.posted = True
                return JobView.of_document(answer["job"])

    async def _wait(self) -> None:
        """Return when the job may be launched.

        :raises SpawnRefused: it ended.
        """
        first = self._job.view.place or 1
        while (job := self._job.view).state not in LAUNCHABLE:
            if job.final:
                raise SpawnRefused(end_words(job), code=f"gpuqueue.job.{job.end or 'ended'}")
            self._show_waiting(job, first)
            if job.state is State.RUNNING:  # somebody else's launch of it: ask for it as a new start would
                await asyncio.sleep(AGAIN_S[0])
                self._renew()
                await self._ask()
            elif not await self._job.change(within=RECHECK_S):
                await self._ask()
        self.progress.show("turn", 70, waiting_words(job, now=self.spawner.clock()), job)

    def _show_waiting(self, job: JobView, first: int) -> None:
        if self.queue.away:
            self.progress.show("waiting", 5, AWAY, job, reachable=False)
            return
        done = 1 - min(job.place or first, first) / first
        words = waiting_words(job, now=self.spawner.clock())
        self.progress.show("waiting", 5 + int(60 * done), words, job)

    # Launching

    async def _ask_permit(self) -> Permit | None:
        """Ask for the launch; None: the job moved on meanwhile."""
        job = self._job.view

        async def ask() -> Permit:
            body = {"instance": INSTANCE, "version": self._job.view.version}
            return Permit.of_document(await self.queue.post(f"{JOBS}/{job.key}/launch", body, within=PERMIT_S))

        self.progress.show("permit", 72, "Your GPUs are being made ready.", job)
        try:
            permit = await self._insist(ask, phase="permit", percent=72, job=job)
        except SpawnRefused as refused:
            await self._ask_again(refused)
            return None
        self._job.update(permit.job)
        return permit

    async def _launch(self, permit: Permit) -> str:
        limit = self.spawner.launch_timeout
        self.progress.show("launching", 75, "Starting your notebook.", self._job.view)
        try:
            async with asyncio.timeout(limit):
                url = await self._while_mine(self.spawner.launch_permitted(permit), permit)
                words = "Your notebook starts; waiting for its first answer."
                self.progress.show("answering", 85, words, self._job.view)
                await self._while_mine(notebook_answers(self.spawner, url), permit)
        except TimeoutError:
            raise LaunchFailed(f"the notebook did not answer within {limit:g} s") from None
        except (LaunchFailed, Superseded):
            raise
        except Exception as error:  # whatever a spawner's start() raises
            self.log.exception("Launch %s of job %s failed", permit.launch, permit.job.id)
            raise LaunchFailed(str(getattr(error, "jupyterhub_message", None) or error or repr(error))) from error
        return str(url)

    async def _while_mine(self, doing: Coroutine[Any, Any, T], permit: Permit) -> T:
        """Go on with a launch only while it is the job's current one."""
        task = asyncio.create_task(doing, name=f"gpuqueue launch {permit.job.id}/{permit.launch}")
        try:
            while not task.done():
                job = self._job.view
                if job.state is not State.STARTING or job.launch != permit.launch:
                    raise Superseded
                change = asyncio.create_task(self._job.change(within=RECHECK_S), name="gpuqueue change")
                await asyncio.wait({task, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _end_launch(self) -> None:
        self.ending = True
        try:
            await self.spawner.end_launch(now=True)
        finally:
            self.ending = False

    # Reporting

    async def _tell_ready(self, permit: Permit) -> bool:
        """Report the notebook; False: the job moved on meanwhile.

        :raises LaunchFailed: it ended before it could be reported.
        """

        async def tell() -> JobView:
            if await self.spawner.poll_launch() is not None:
                raise LaunchFailed("the notebook ended right after its start")
            answer = await self.queue.post(f"{JOBS}/{permit.job.key}/ready", {"launch": permit.launch})
            return JobView.of_document(answer["job"])

        self.progress.show("ready", 95, "Your notebook answers.", self._job.view)
        try:
            self._job.update(await self._insist(tell, phase="ready", percent=95, job=self._job.view))
        except SpawnRefused as refused:
            await self._ask_again(refused)
            return False
        return True

    async def _tell_failed(self, permit: Permit, failure: LaunchFailed) -> None:
        message = str(failure)
        self.log.warning("Launch %s of job %s failed: %s", permit.launch, permit.job.id, message)
        body = {"launch": permit.launch, "message": message[:1000]}
        body |= {name: True for name in ("taken", "away") if getattr(failure, name)}

        async def tell() -> JobView:
            answer = await self.queue.post(f"{JOBS}/{permit.job.key}/failed", body)
            return JobView.of_document(answer["job"])

        self.progress.show("failed", 80, f"This launch failed: {message}", self._job.view)
        try:
            self._job.update(await self._insist(tell, phase="failed", percent=80, job=self._job.view))
        except SpawnRefused as refused:
            await self._ask_again(refused)

    async def _insist(
        self, ask: Callable[[], Awaitable[T]], *, phase: str, percent: int, job: JobView | None = None
    ) -> T:
        """Repeat a request until the queue answers.

        :raises SpawnRefused: it answered no.
        """
        pause, longest = AGAIN_S
        while True:
            try:
                return await ask()
            except QueueRefused as refused:
                _refuse(refused)
            except QueueUnreachable as error:
                self.log.warning("The queue did not answer for %s: %s", self.spawner._log_name, error)
            words = AWAY if job else "The queue does not answer right now; trying again."
            self.progress.show(phase, percent, words, job, reachable=False)
            await asyncio.sleep(pause)
            pause = min(longest, pause * 1.5)


def _refuse(refused: QueueRefused) -> NoReturn:
    document = refused.document
    if "field" in document:
        allowed = str(document.get("allowed") or "less")
        raise InvalidOption(str(document["field"]), document.get("value"), allowed, code=refused.code) from refused
    raise SpawnRefused(refused.message, code=refused.code, status=refused.status) from refused

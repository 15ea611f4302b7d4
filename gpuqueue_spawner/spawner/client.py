"""One connection from this Hub to its queue: requests with a time limit, and the stream that tells what changes.

Knows HTTP, the spawner's secret and which jobs this process holds. What an answer means: queueing.py.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import traitlets.log
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketError, websocket_connect

from .errors import QueueRefused, QueueUnreachable
from .jobs import JobView
from .unsent import FILE, Unsent

INSTANCE = secrets.token_hex(8)  #: this Hub process; another after every restart, so the queue knows what it lost
REQUEST_S = 10.0  #: an answer that takes longer is none
BEAT_S = 5.0  #: a sign of life either way
SILENCE_S = 15.0  #: three beats missed: the connection is lost, whatever TCP says
RECONNECT_S = (0.5, 5.0)  #: first and longest pause between two tries
GRACE_S = 3.0  #: a reconnect within this is not worth a word to those who wait
BODY_LIMIT = 4 << 20


class Held:
    """A job that this process holds: its newest view, and a bell that rings when something changed."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self._bell = asyncio.Event()

    def update(self, view: JobView) -> JobView:
        """Take a newer view; an older one, overtaken on its way, is dropped."""
        if view.version >= self.view.version:
            self.view = view
            self.ring()
        return self.view

    def ring(self) -> None:
        """Wake whoever waits for a change."""
        self._bell.set()

    async def change(self, *, within: float) -> bool:
        """Wait for a change; False: `within` seconds passed without one."""
        try:
            async with asyncio.timeout(within):
                await self._bell.wait()
        except TimeoutError:
            return False
        self._bell.clear()
        return True


@dataclass
class _Stream:
    """What is known of the event stream."""

    connection: WebSocketClientConnection | None = None
    lost: float | None = field(default=None)  #: loop time at which it was lost, None: it stands


class QueueClient:
    """The Hub's side of the spawner protocol."""

    #: Deletes the pods of launches that are over; set by the spawner that makes pods, as soon as the Hub knows it.
    clear: ClassVar[Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]] | None] = None

    _shared: dict[tuple[asyncio.AbstractEventLoop, str], QueueClient] = {}

    def __init__(self, *, url: str, secret_file: str, unsent: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self.secret_file = secret_file
        self.unsent = Unsent(self.post, instance=INSTANCE, path=unsent)  #: what it must be told, before all else
        self.log = traitlets.log.get_logger()
        self._held: dict[str, Held] = {}  # by key: an id names another job once a backup was restored
        self._stream = _Stream()
        self._task: asyncio.Task[None] | None = None
        self._clearing: asyncio.Task[None] | None = None
        self._back = asyncio.Event()  #: set when the queue answered something
        # Not the shared one: a slow launch must not wait behind ten other requests of the Hub.
        self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=500, max_body_size=BODY_LIMIT)

    @classmethod
    def shared(cls, *, url: str, secret_file: str, unsent_file: str = FILE) -> QueueClient:
        """The one client of this process and loop for a queue, made on first use.

        :raises RuntimeError: no event loop runs.
        """
        key = (asyncio.get_running_loop(), url.rstrip("/"))
        client = cls._shared.get(key)
        if client is None:
            client = cls._shared[key] = cls(url=url, secret_file=secret_file, unsent=Path(unsent_file).absolute())
        return client

    def start(self) -> None:
        """Open the stream, once: the queue learns that this Hub lives and which jobs it holds."""
        if self._task is None:
            self._stream.lost = asyncio.get_running_loop().time()
            self._task = asyncio.create_task(self._keep_open(), name=f"gpuqueue stream {self.url}")

    async def close(self) -> None:
        """End the stream; the Hub's own shutdown cancels it too."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def away(self) -> bool:
        """Whether the stream has been gone for so long that people should be told."""
        lost = self._stream.lost
        return lost is not None and asyncio.get_running_loop().time() - lost > GRACE_S

    def hold(self, view: JobView) -> Held:
        """Say that this process holds the job, and be told of its changes."""
        held = self._held.get(view.key)
        if held is None:
            held = self._held[view.key] = Held(view)
            self._tell_holds()
        held.update(view)
        return held

    def release(self, job: str) -> None:
        """Say that this process no longer holds it."""
        if self._held.pop(job, None) is not None:
            self._tell_holds()

    async def post(self, path: str, body: Mapping[str, Any], *, within: float = REQUEST_S) -> dict[str, Any]:
        """Ask the queue, once.

        :raises QueueUnreachable: no answer, or none that says what became of the request.
        :raises QueueRefused: it answered no.
        """
        try:
            request = HTTPRequest(
                f"{self.url}{path}",
                method="POST",
                headers={**self._authorization(), "Content-Type": "application/json"},
                body=json.dumps(body),
                connect_timeout=within,
                request_timeout=within,
                follow_redirects=False,
            )
            async with asyncio.timeout(within + 1):
                response = await self._http.fetch(request, raise_error=False)
        except ConnectionRefusedError:
            raise QueueUnreachable("nothing listens at its address", received=False) from None
        except TimeoutError:
            raise QueueUnreachable(f"it did not answer within {within:g} s", received=True) from None
        except (OSError, HTTPClientError) as error:  # here an HTTPClientError is tornado's way to say: no answer
            raise QueueUnreachable(str(error), received=True) from None
        document = _read(response)
        self._back.set()  # whoever answers can be connected to: no need to sit out a pause
        return document

    def _authorization(self) -> dict[str, str]:
        # Read anew each time: a secret can be changed without a restart of the Hub.
        try:
            secret = Path(self.secret_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            words = f"the spawner's secret cannot be read: {error.strerror} ({self.secret_file})"
            raise QueueUnreachable(words, received=False) from None
        return {"Authorization": f"Bearer {secret}"}

    async def _keep_open(self) -> None:
        pause, longest = RECONNECT_S
        while True:
            opened = False
            try:
                # First: what was stopped here must not be handed back, nor be taken for something that failed.
                with suppress(QueueUnreachable):
                    await self.unsent.flush()
                connection = await self._connect()
                opened = True
                await self._talk(connection)
            except* (OSError, TimeoutError, HTTPClientError, WebSocketError, QueueUnreachable) as group:
                self._log_loss(group.exceptions[0], first=opened or pause == RECONNECT_S[0])
            except* Exception:
                # A fault of ours must not end the Hub and everybody's login with it: told loudly, then connected anew.
                self.log.exception("The stream from the queue at %s broke on something unexpected", self.url)
            self._lost()
            pause = RECONNECT_S[0] if opened else min(longest, pause * 1.6)
            self._back.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.7, 1.3)):  # noqa: S311  # spreads reconnects
                    await self._back.wait()

    async def _connect(self) -> WebSocketClientConnection:
        url = f"ws{self.url.removeprefix('http')}/spawner/v1/stream"
        request = HTTPRequest(url, headers=self._authorization(), connect_timeout=REQUEST_S, request_timeout=REQUEST_S)
        async with asyncio.timeout(REQUEST_S):
            return await websocket_connect(request, max_message_size=BODY_LIMIT)

    async def _talk(self, connection: WebSocketClientConnection) -> None:
        try:
            hello = {"type": "hello", "instance": INSTANCE, "holds": [*self._held]}
            sent = connection.write_message(json.dumps(hello))
            self._stream = _Stream(connection=connection)  # before any await: what is held from now on is told after it
            await sent
            self.log.info("Connected to the queue at %s as %s", self.url, INSTANCE)
            self._ring_all()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beat(connection), name="gpuqueue beat")
                tasks.create_task(self.unsent.keep_trying(every=BEAT_S), name="gpuqueue unsent")
                await self._listen(connection, tasks)
        finally:
            self._stream.connection = None
            connection.close()

    async def _beat(self, connection: WebSocketClientConnection) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await connection.write_message(json.dumps({"type": "beat"}))

    async def _listen(self, connection: WebSocketClientConnection, tasks: asyncio.TaskGroup) -> None:
        while True:
            async with asyncio.timeout(SILENCE_S):
                message = await connection.read_message()
            if message is None:
                raise WebSocketClosedError
            document = json.loads(message)
            if document.get("type") == "job":
                view = JobView.of_document(document["job"])
                if view.key in self._held:
                    self._held[view.key].update(view)
            elif document.get("type") == "clear":
                self._clear(document["pods"], tasks)

    def _clear(self, pods: Sequence[Mapping[str, Any]], tasks: asyncio.TaskGroup) -> None:
        """Beside all else, and not twice at once: a cluster that does not answer must not delay a beat."""
        if QueueClient.clear is not None and (self._clearing is None or self._clearing.done()):
            self._clearing = tasks.create_task(_all_of(QueueClient.clear(pods)), name="gpuqueue clear")

    def _tell_holds(self) -> None:
        connection = self._stream.connection
        if connection is None:
            return  # the next hello says it
        try:
            sent = connection.write_message(json.dumps({"type": "holds", "holds": [*self._held]}))
        except WebSocketClosedError:
            return
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # a loss shows where we listen

    def _lost(self) -> None:
        if self._stream.lost is None:
            loop = asyncio.get_running_loop()
            self._stream = _Stream(lost=loop.time())
            loop.call_later(GRACE_S + 0.1, self._ring_all)

    def _ring_all(self) -> None:
        for held in self._held.values():
            held.ring()

    def _log_loss(self, error: BaseException, *, first: bool) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, HTTPClientError) and error.code == 401:
            self.log.error("The queue at %s does not accept the secret in %s", self.url, self.secret_file)
        elif first:
            self.log.warning("No stream from the queue at %s (%s); trying again", self.url, str(error) or repr(error))


async def _all_of(doing: Awaitable[None]) -> None:
    await doing


def _read(response: HTTPResponse) -> dict[str, Any]:
    try:
        document = json.loads(response.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise QueueUnreachable(f"it answered with status {response.code} and no JSON", received=response.code < 400)
    if response.code >= 500:
        words = str(document.get("message") or f"status {response.code}")
        raise QueueUnreachable(words, received=True, fault=response.code == 500)
    if response.code == 401:  # a secret can be put right, what waits must not end over it
        raise QueueUnreachable("it does not accept the secret of this Hub's spawners", received=False)
    if response.code >= 400:
        raise QueueRefused(response.code, document)
    return document

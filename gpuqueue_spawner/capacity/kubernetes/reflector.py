"""Keeps what is needed of all objects of one kind at hand: lists them once, then follows every change.

Knows the protocol: a list is a moment, a watch goes on from it, and what cannot be gone on from is listed anew. Why not
the client library's informer: it keeps whole objects (a pod's environment may hold a user's token), it cannot tell how
old its word is, and it goes on for ever with a connection that is dead.
"""

from __future__ import annotations

import enum
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from ...model.shelved import Shelved

log = logging.getLogger("gpuqueue")

T = TypeVar("T")

PAGE = 500  # objects in one answer to a list
WATCH_S = 20  # the server ends a watch after this, so that its silence is never longer
STEADY_S = 1.0  # who ends a watch sooner was asked in vain: a server on its way out, or something in front of it; also
# how much sooner than agreed its end may come and still be the server's own
SILENCE_S = 30.0  # between two bytes: then the connection is taken for dead
CONNECT_S = 5.0
PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0  # between two tries
GONE = 410  # what it was to go on from is too long ago


class Kind(enum.Enum):
    """What may be followed."""

    NODES = "nodes"
    PODS = "pods"


class ApiError(Exception):
    """The API server does not answer, or says no."""

    def __init__(self, words: str, *, status: int = 0) -> None:
        super().__init__(words)
        self.status = status  #: of HTTP; 0: no answer

    @property
    def sentence(self) -> str:
        """For people."""
        if self.status == 401:
            return f"The cluster does not accept this login: {self}"
        return f"The cluster refuses: {self}" if self.status == 403 else f"The cluster does not answer: {self}"


class Api(Protocol):
    """The API server, as far as it is asked here; client.py is one."""

    def get(self, kind: Kind, **query: Any) -> dict[str, Any]:
        """List once.

        :raises ApiError: it does not answer, or says no.
        """

    def patch_node(self, name: str, patch: Mapping[str, Any]) -> None:
        """Change a node by a JSON merge patch.

        :raises ApiError: it does not answer, or says no.
        """

    def lines(self, kind: Kind, **query: Any) -> Iterator[bytes]:
        """Follow a watch line by line, for as long as it goes on.

        :raises ApiError: it does not answer, says no, or falls silent.
        """


class Reflector(Generic[T]):
    """All objects of one kind, by namespace and name, in a thread of its own."""

    def __init__(
        self,
        api: Api,
        kind: Kind,
        read: Callable[[Mapping[str, Any]], T],
        *,
        shelf: Callable[[T], str] = lambda it: "",
        left: Callable[[Mapping[str, Any]], None] = lambda document: None,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.api, self.kind, self._read, self._changed, self._clock = api, kind, read, changed, clock
        self._left = left  # told the last word of what was deleted; of what a list no longer has there is none
        self.problem = "The cluster has not been looked at yet."  #: why it is not current, in words; empty: it is
        self.heard: float | None = None  #: when the server last said anything; None: never
        self._shelf = shelf  # names the shelf on which an object is kept
        self._objects: Shelved[T] = Shelved(shelf)
        self._lock = threading.Lock()
        self._version: str | None = None  # to go on from; None: list first
        self._ended = threading.Event()

    def start(self) -> None:
        """Follow until `stop()`."""
        threading.Thread(target=self._run, name=f"watch {self.kind.value}", daemon=True).start()

    def stop(self) -> None:
        """End; the thread is gone when its answer ends."""
        self._ended.set()

    def objects(self) -> tuple[T, ...]:
        """All of them, as of the last word."""
        with self._lock:
            return tuple(self._objects)

    def shelves(self) -> Mapping[str, tuple[T, ...]]:
        """The same by shelf. One on which nothing has changed is the same tuple again."""
        with self._lock:
            return self._objects.shelves()

    def _run(self) -> None:
        pause = PAUSE_S
        while not self._ended.is_set():
            try:
                self.step()
                pause = PAUSE_S
            except ApiError as error:
                if error.status == GONE:
                    log.info("%s: listed anew, what it was to go on from is gone", self.kind.value)
                    self._version = None
                else:
                    self._say(error.sentence)
                self._ended.wait(pause)  # also before a list: one that is answered like this is dear, and may go on so
                pause = min(LONGEST_PAUSE_S, pause * 2)
            except Exception:  # a fault of ours: told loudly, and begun anew
                log.exception("%s: listed anew after a fault", self.kind.value)
                self._version = None
                self._say("The cluster's answers cannot be read; the log says why.")
                self._ended.wait(LONGEST_PAUSE_S)

    def step(self) -> None:
        """List if that is due, then follow one watch to its end.

        :raises ApiError: the server does not answer, or not in a way to go on from, or only for a moment.
        """
        if self._version is None:
            self._version = self._list()
        self._follow(self._version)

    def _list(self) -> str:
        found: Shelved[T] = Shelved(self._shelf)
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            page = self.api.get(self.kind, **query)
            for each in page.get("items") or ():
                found.put(_name(each), self._read(each))
            meta = page["metadata"]
            if not meta.get("continue"):
                break
            query["_continue"] = meta["continue"]
        with self._lock:
            self._objects = found
        self._word()
        self._changed()
        return str(meta["resourceVersion"])

    def _follow(self, version: str) -> None:
        begun = self._clock()
        query = {"watch": True, "allow_watch_bookmarks": True, "timeout_seconds": WATCH_S, "resource_version": version}
        for line in self.api.lines(self.kind, **query):
            event = json.loads(line)
            kind, document = event["type"], event["object"]
            if kind == "ERROR":
                raise ApiError(str(document.get("message")), status=int(document.get("code") or 0))
            self._version = str(document["metadata"]["resourceVersion"])
            self._word()
            if kind != "BOOKMARK":
                self._take(kind, document)
            if self._ended.is_set():
                return
        self._ended_after(self._clock() - begun)

    def _ended_after(self, lasted: float) -> None:
        """Judge the end of a watch: only one that the server itself ended says that nothing has happened until now."""
        if lasted < STEADY_S:
            raise ApiError(f"it ended a watch after {lasted:.1g} s")
        if lasted > WATCH_S - STEADY_S:
            self._word()
        elif self.heard is None or self._clock() - self.heard + lasted > WATCH_S:
            # Something in front of the server ends them all: a list is a word, asked for before the next would be late.
            self._version = None

    def _take(self, kind: str, document: Mapping[str, Any]) -> None:
        name = _name(document)
        if kind == "DELETED":
            self._left(document)
        after = None if kind == "DELETED" else self._read(document)
        with self._lock:
            before = self._objects.remove(name) if after is None else self._objects.put(name, after)
        if before != after:
            self._changed()

    def _word(self) -> None:
        self.heard = self._clock()
        self._say("")

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s: %s", self.kind.value, problem) if problem else log.info("%s: followed", self.kind.value)
        self.problem = problem


def _name(document: Mapping[str, Any]) -> str:
    meta = document["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"

"""Asked over HTTP for a folder, by whoever knows the secret.

Knows HTTP. A share that hangs makes no request hang: each is answered within a limit. What is made: folders.py, and
where people have volumes of their own, volumes.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tornado.web import Application, RequestHandler

from .folders import FolderRefused, Folders, InvalidFolder, ShareAway, read_folder
from .volumes import VolumesAway, read_claim

if TYPE_CHECKING:
    from .cluster import Volumes  # the cluster's client, which only a service with volumes loads

log = logging.getLogger("gpuqueue")

T = TypeVar("T")

FOLDERS = "/homes/v1/folders"
HEALTH = "/health"
ANSWER_S = 10.0  # a share that takes longer is away
MOST_HANGING = 16  # threads that wait for a share; whoever comes after them is told so at once
BODY_LIMIT = 4096


class Share:
    """The folders, asked in threads: nothing ends a call that waits for its file system."""

    def __init__(self, folders: Folders, *, within: float) -> None:
        self._folders, self._within = folders, within
        self._free = threading.Semaphore(MOST_HANGING)

    async def call(self, function: Callable[[Folders], T]) -> T:
        """What the function makes of the folders.

        :raises ShareAway: it does not end within the limit, or too many wait already.
        """
        if not self._free.acquire(blocking=False):
            raise ShareAway("the share does not answer")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                result = function(self._folders)
            except Exception as error:
                _tell(loop, future, error=error)
            else:
                _tell(loop, future, result=result)
            finally:
                self._free.release()

        # Daemons, so that a share that hangs never holds up the end of the process.
        threading.Thread(target=run, name="share", daemon=True).start()
        try:
            async with asyncio.timeout(self._within):
                return await future
        except TimeoutError:
            raise ShareAway(f"the share does not answer within {self._within:g} s") from None


def make_app(
    folders: Folders,
    *,
    allowed: Callable[[bytes], bool],
    smallest: int,
    volumes: Volumes | None = None,
    within: float = ANSWER_S,
) -> Any:
    """The application.

    :param allowed: whether what a request shows is the secret.
    :param smallest: numeric user that may have a folder.
    :param volumes: None: people's folders have none of their own.
    """
    settings = {
        "share": Share(folders, within=within),
        "volumes": volumes,
        "allowed": allowed,
        "smallest": smallest,
    }
    return Application([(FOLDERS, FoldersHandler, settings), (HEALTH, HealthHandler, settings)])


class _Handler(RequestHandler):
    def initialize(
        self, share: Share, volumes: Volumes | None, allowed: Callable[[bytes], bool], smallest: int
    ) -> None:
        """Called by tornado with the settings."""
        self.share, self.volumes, self.allowed, self.smallest = share, volumes, allowed, smallest

    def answer(self, status: int, **document: Any) -> None:
        """Send a document."""
        self.set_status(status)
        self.finish(document)


class FoldersHandler(_Handler):
    """One folder, and its volume."""

    async def post(self) -> None:
        """See to it that a folder is there, and its volume where one is wanted: 200, 400, 401, 409, 503."""
        scheme, _, shown = self.request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self.allowed(shown.encode()):
            return self.answer(401, code="gpuqueue.homes.secret", message="The secret is missing or wrong.")
        try:
            document = _read(self.request.body)
            wanted = read_folder(document, smallest=self.smallest)
            claim = read_claim(document, self.volumes.place if self.volumes else None)
            made = await self.share.call(lambda folders: folders.make(wanted))
            volume = await self.volumes.make(wanted.name, claim) if self.volumes and claim else ""
        except InvalidFolder as bad:
            detail = {"field": bad.field, "value": bad.value, "allowed": bad.allowed}
            return self.answer(400, code="gpuqueue.homes.invalid", message=str(bad), **detail)
        except FolderRefused as refused:
            log.warning("folder %s: %s", wanted.name, refused)
            return self.answer(409, code="gpuqueue.homes.taken", message=str(refused))
        except (ShareAway, VolumesAway) as away:
            log.warning("folder %s: %s", wanted.name, away)
            return self.answer(503, code="gpuqueue.homes.away", message=str(away))
        if made:
            log.info("folder %s made for %s:%s", wanted.name, wanted.uid, wanted.gid)
        return self.answer(200, folder=wanted.name, made=made, volume=volume)


class HealthHandler(_Handler):
    """Whether folders could be made."""

    async def get(self) -> None:
        """200, or 503 with the reason."""
        try:
            await self.share.call(lambda folders: folders.look())
        except ShareAway as away:
            return self.answer(503, problem=str(away))
        return self.answer(200, problem="")


def _read(body: bytes) -> object:
    try:
        document: object = json.loads(body) if len(body) <= BODY_LIMIT else None
    except ValueError:
        return None
    return document


def _tell(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], *, result: Any = None, error: Exception | None = None
) -> None:
    def tell() -> None:
        if future.done():
            return  # whoever asked is gone
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    if not loop.is_closed():
        loop.call_soon_threadsafe(tell)

"""Whether a request waits for a server that the Hub does not know to start: asked of the queue, for the Hub's own page.

Knows the queue's answer to a form without choices. Who prints it: templates/not_running.html.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..model import State
from .client import QueueClient
from .errors import QueueRefused, QueueUnreachable
from .jobs import JobView

LIMIT_S = 2.0  #: the page is shown without an answer after it
COMES_BACK = frozenset({State.QUEUED, State.HELD, State.ADMITTED, State.STARTING, State.RESTARTING})


@dataclass(frozen=True, kw_only=True)
class OpenJob:
    """What the queue says of one server."""

    known: bool = True  #: False: it did not answer
    waits: bool = False  #: a request for it is open, and the queue hands it to the Hub again
    place: int | None = None
    of: int | None = None


def open_jobs(url: str, secret_file: str, unsent_file: str) -> Callable[[str, str], Awaitable[OpenJob]]:
    """Make the function that a page asks with the names of user and server."""

    async def open_job(user: str, server: str) -> OpenJob:
        queue = QueueClient.shared(url=url, secret_file=secret_file, unsent_file=unsent_file)
        try:
            answer = await queue.post("/spawner/v1/form", {"user": user, "server": server}, within=LIMIT_S)
        except (QueueUnreachable, QueueRefused):
            return OpenJob(known=False)
        job = JobView.of_document(answer["open"]) if answer.get("open") else None
        if job is None or job.state not in COMES_BACK:
            return OpenJob()
        return OpenJob(waits=True, place=job.place, of=job.of)

    return open_job

"""What can go wrong between the Hub, the queue and a launch, and the one exception that people see.

Knows words and HTTP statuses. Who asks the queue: client.py. Who decides what a refusal means: queueing.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jupyterhub import spawner as hub_spawner
from tornado import web

REASON = "gpuqueue"  #: label of every refusal in the Hub's metrics; never changes

try:
    _Base: Any = hub_spawner.SpawnException
    _HAS_SPAWN_EXCEPTION = True
except AttributeError:  # JupyterHub 5.5 has none: an HTTPError below 500 comes closest
    _Base = web.HTTPError
    _HAS_SPAWN_EXCEPTION = False


class SpawnRefused(_Base):  # type: ignore[misc]  # the base depends on the Hub's version
    """No notebook comes of this request; the message is what its owner reads.

    The only exception that leaves start() of a queueing spawner. The Hub's pages print its `jupyterhub_message`.
    """

    def __init__(self, message: str, *, code: str = "gpuqueue.refused", status: int = 400) -> None:
        if _HAS_SPAWN_EXCEPTION:
            super().__init__(message, reason=REASON, status_code=status)
        else:
            super().__init__(status, message, reason=REASON)
        self.jupyterhub_message = message
        self.code = code  #: stable, as in the queue's API


class InvalidOption(SpawnRefused):
    """An option of a request that the profiles do not allow; knows field, value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str, *, code: str = "gpuqueue.option.invalid") -> None:
        shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
        super().__init__(f"{field} is {shown}; allowed is {allowed}.", code=code)
        self.field, self.value, self.allowed = field, value, allowed

    def together(self, others: Sequence[InvalidOption]) -> InvalidOption:
        """This one, its words those of all."""
        self.jupyterhub_message = " ".join(each.jupyterhub_message for each in (self, *others))
        return self


class QueueUnreachable(Exception):
    """The queue gave no usable answer."""

    def __init__(self, words: str, *, received: bool, fault: bool = False) -> None:
        super().__init__(words)
        self.received = received  #: whether the request may have reached it
        self.fault = fault  #: it failed on this very request, and would again


class QueueRefused(Exception):
    """The queue answered no; `code` never changes."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code", "gpuqueue.unknown"))
        self.message = str(document.get("message", f"the queue answered with status {status}"))
        self.document = document  #: the whole answer: may hold `job`, `field`, `allowed`, `possible`
        super().__init__(f"{self.code}: {self.message}")


class LaunchFailed(Exception):
    """A permitted launch came to nothing, in words for its owner; the job goes back to the queue."""

    def __init__(self, words: str, *, taken: bool = False, away: bool = False) -> None:
        super().__init__(words)
        self.taken = taken  #: by the cluster, from a launch that could have worked
        self.away = away  #: nobody there to launch it


class Superseded(Exception):
    """The job moved on while its launch was under way: a later launch, a stop or its end."""

"""The one map from what can go wrong to a status, a code that never changes, and words for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tornado.web import HTTPError

from ..capacity import CapacityUnavailable
from ..manager import NotLeading, OverLimit, Refused
from ..model import InvalidTransition, Job, possible
from ..model.resources import InvalidResources
from ..store import JobChanged, LeaseLost, StoreUnavailable, Unstorable


class BadInput(Exception):
    """Something the caller sent; names the field, the value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str, *, code: str = "gpuqueue.input") -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        super().__init__(f"{field} is {shown}; allowed is {allowed}")
        self.field, self.value, self.allowed, self.code = field, shown, allowed, code


class NotPossible(Exception):
    """An act that the job's state does not allow; names those that are possible."""

    def __init__(self, job: Job, code: str, message: str, possible: Sequence[str]) -> None:
        words = ", ".join(possible) or "nothing" + (", it has ended" if not job.open else "")
        super().__init__(f"{message} (possible: {words})")
        self.code, self.state, self.possible = code, job.state, tuple(possible)


class TooLarge(Exception):
    """A body over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit // 1024} KiB")


class NotFound(Exception):
    """No such thing, as far as the reader may know."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no such {what}")


class Forbidden(Exception):
    """The reader is known and may not."""

    def __init__(self, words: str, *, code: str = "gpuqueue.forbidden") -> None:
        super().__init__(words)
        self.code = code


class TooManyStreams(Exception):
    """A reader who follows the queue in more places than anybody looks at."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} event streams of this reader are open; close one, or ask again by yourself")


class Unauthorized(Exception):
    """Nobody knows who asks."""


class HubAway(Exception):
    """Who asks cannot be found out: the Hub does not answer."""

    def __init__(self) -> None:
        super().__init__("JupyterHub does not answer, so nobody can be recognised right now; try again in a moment")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What the caller is told."""

    status: int
    code: str
    message: str
    more: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"code": self.code, "message": self.message, **self.more}


def fault_of(error: BaseException) -> Fault:
    """Word an exception. What nobody expected is a 500 without details: those are in the log."""
    message = str(error)
    match error:
        case BadInput():
            more: dict[str, Any] = {"field": error.field, "value": error.value, "allowed": error.allowed}
            return Fault(status=400, code=error.code, message=message, more=more)
        case InvalidResources() | Unstorable():
            return fault_of(BadInput(error.field, error.value, error.allowed))
        case Unauthorized():
            return Fault(status=401, code="gpuqueue.token", message="the token is missing, wrong, expired or revoked")
        case Forbidden():
            return Fault(status=403, code=error.code, message=message)
        case NotFound():
            return Fault(status=404, code="gpuqueue.not-found", message=message)
        case KeyError(args=(int(),)):  # a job's id; any other key is a bug of ours
            return Fault(status=404, code="gpuqueue.not-found", message="no such open job")
        case NotPossible():
            more = {"state": str(error.state), "possible": list(error.possible)}
            return Fault(status=409, code=error.code, message=message, more=more)
        case InvalidTransition():
            more = {"state": str(error.state), "possible": [str(event) for event in possible(error.state)]}
            return Fault(status=409, code="gpuqueue.job.state", message=message, more=more)
        case OverLimit():
            known = BadInput(error.field, error.value, error.allowed, code=error.code)
            return replace(fault_of(known), message=message)  # it was worded for the person who asks
        case Refused():
            more = {"possible": list(error.possible)} if error.job else {}
            return Fault(status=409, code=error.code, message=message, more=more)
        case JobChanged():
            return Fault(status=409, code="gpuqueue.job.changed", message=message)
        case TooLarge():
            return Fault(status=413, code="gpuqueue.body", message=message)
        case TooManyStreams():
            return Fault(status=429, code="gpuqueue.streams", message=message)
        case HubAway():
            return Fault(status=503, code="gpuqueue.hub-away", message=message)
        case NotLeading() | LeaseLost():
            words = "the queue cannot answer right now; nothing was changed, try again in a moment"
            return Fault(status=503, code="gpuqueue.unavailable", message=f"{words} ({message})")
        case CapacityUnavailable():
            words = "the queue cannot look at the servers right now; try again in a moment"
            return Fault(status=503, code="gpuqueue.unavailable", message=f"{words} ({message})")
        case StoreUnavailable():
            words = "the queue's database does not answer; a change may have been made or not, look again in a moment"
            return Fault(status=503, code="gpuqueue.unavailable", message=f"{words} ({message})")
        case HTTPError(status_code=400):
            return fault_of(BadInput("request", "unreadable", "what HTTP allows", code="gpuqueue.http"))
        case HTTPError():
            code = "gpuqueue.method" if error.status_code == 405 else "gpuqueue.http"
            return Fault(status=error.status_code, code=code, message=error.reason or _reason(error))
        case _:
            return Fault(
                status=500, code="gpuqueue.bug", message="something went wrong inside the queue; it is in its log"
            )


def _reason(error: HTTPError) -> str:
    words = {404: "no such page", 405: "this method is not possible here"}
    return words.get(error.status_code, "the request was refused")

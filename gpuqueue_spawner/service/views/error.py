"""A page for what went wrong, in the words of the fault, with the way back."""

from __future__ import annotations

from dataclasses import dataclass

from ..readers import Reader
from .frame import Frame, Site, frame

_TITLES = {
    400: "That cannot be done as it is",
    401: "You are not logged in",
    403: "You may not do this",
    404: "There is no such page, or it is not yours to see",
    409: "That is not possible right now",
    413: "That was too much to send",
    503: "The queue is not available right now",
}


@dataclass(frozen=True, kw_only=True)
class ErrorView:
    """The page."""

    frame: Frame
    status: int
    title: str
    words: str
    code: str  #: never changes; what to name to the GPU team
    possible: str  #: what may be done instead
    kept: bool  #: whether to say that nothing is lost


def view(
    *,
    site: Site,
    status: int,
    message: str,
    code: str,
    possible: tuple[str, ...] = (),
    reader: Reader | None,
    now: float,
) -> ErrorView:
    """Prepare the page; `reader`: None where nobody knows who asks."""
    title = _TITLES.get(status, "Something went wrong")
    words = message[:1].upper() + message[1:]
    return ErrorView(
        frame=frame(title, site=site, reader=reader or Reader(name=""), now=now, live=False),
        status=status,
        title=title,
        words=words if words.endswith((".", "!", "?")) else f"{words}.",
        code=code,
        possible=", ".join(possible),
        kept=status >= 500,
    )

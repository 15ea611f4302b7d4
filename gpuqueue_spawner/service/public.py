"""What needs no login: health, the form's availability by its ticket, the API's description, static files."""

from __future__ import annotations

from pathlib import Path

from jupyterhub._data import DATA_FILES_PATH  # where JupyterHub's own docs say that its files are found
from tornado.web import StaticFileHandler

from .. import __version__
from .availability import BadTicket, availability
from .base import Base
from .errors import Unauthorized

OPENAPI = Path(__file__).with_name("openapi.yaml")
#: JupyterHub's style sheet, icons and scripts, as installed here: the Hub's own copy is away when the Hub is
HUB_STATIC = Path(DATA_FILES_PATH) / "static"


class Health(Base):
    """Whether this manager leads, for a probe: 200 leading, 503 standing by."""

    async def get(self) -> None:
        """200, 503."""
        leading = self.manager.fence is not None
        told = {"leading": leading, "problem": self.manager.problem(), "version": __version__}
        self.answer(told, status=200 if leading else 503)


class Availability(Base):
    """What a spawn form shows, asked by the ticket that was put into it."""

    async def get(self) -> None:
        """200, 401 for a ticket that is not ours or too old."""
        try:
            asked = self.settings["tickets"].open(self.get_query_argument("ticket", ""))
        except BadTicket:
            raise Unauthorized from None
        self.answer(await availability(self.manager, asked))


class OpenAPI(Base):
    """The description of the API."""

    async def get(self) -> None:
        """200."""
        self.set_header("Content-Type", "application/yaml; charset=UTF-8")
        self.finish(OPENAPI.read_bytes())


class Static(Base, StaticFileHandler):
    """Scripts and style sheets."""

    def set_extra_headers(self, path: str) -> None:
        """Let a browser keep them, and ask each time whether they changed.

        They import each other by name: were one of them kept without asking, an upgrade would mix old with new.
        """
        self.set_header("Cache-Control", "no-cache")

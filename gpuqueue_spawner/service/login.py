"""The way back from the Hub's login: the code of the address becomes the service's cookie.

Knows the Hub's own handler, and where it falls short: it would wait for the Hub without a limit, ask it in the event
loop, and answer faults in another server's words.
"""

from __future__ import annotations

import asyncio

from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado.web import HTTPError

from .base import Base
from .errors import Forbidden, HubAway
from .pages.base import Page

LIMIT_S = 10.0  # two questions to the Hub


class OAuthCallback(HubOAuthCallbackHandler, Page):  # type: ignore[misc]  # jupyterhub has no types
    """Where the Hub sends a browser that it has recognised."""

    async def prepare(self) -> None:
        """Nobody is known yet; the cookie of an earlier login only decides where a stale address leads."""
        await Base.prepare(self)
        try:
            self.model = await self.ask_whose()
        except (Forbidden, HubAway):
            self.model = None

    async def get(self) -> None:
        """302 to where the login began, 403 when it did not begin here, 503."""
        try:
            async with asyncio.timeout(LIMIT_S):
                await HubOAuthCallbackHandler.get(self)
        except TimeoutError:
            raise HubAway from None
        except HTTPError as error:
            if error.status_code >= 500:
                raise HubAway from None
            words = "this login did not begin here, or took too long; open the page again"
            raise Forbidden(words, code="gpuqueue.login") from None

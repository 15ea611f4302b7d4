"""The Hub's REST API, as far as the queue needs it: start, stop and list servers. Every question is bounded.

Knows paths and status codes of JupyterHub 5.5 and 6. When it is asked: resume.py, ending.py.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

FAULTS = (OSError, HTTPClientError, TimeoutError)  # HTTP 599 of tornado is an HTTPClientError
WORDS_MAX = 800  # the names of user and server may have 255 characters each, and what was refused stands behind them
PAGES = "application/jupyterhub-pagination+json"  # without it the Hub cuts a long list off and does not say so


class HubUnavailable(Exception):
    """The Hub did not answer, or not in a way that tells what it did."""


class Started(enum.Enum):
    """What the Hub answered to "start this server"."""

    ACCEPTED = enum.auto()
    RUNNING = enum.auto()  # a server of this name lives: the Hub has looked
    PENDING = enum.auto()  # it starts or stops already
    NO_USER = enum.auto()
    REFUSED = enum.auto()


@dataclass(frozen=True, kw_only=True)
class HubUser:
    """A user who has a server that runs, starts or stops."""

    name: str
    servers: frozenset[str]
    groups: frozenset[str]  #: as of the last login, also of one that was refused


class HubAPI:
    """Asks the Hub with the service's token."""

    def __init__(self, url: str, token: str, *, limit: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self.limit = limit  #: seconds
        self._token = token
        self._client = AsyncHTTPClient()

    async def start_server(self, user: str, server: str, options: Mapping[str, Any]) -> tuple[Started, str]:
        """Ask for a server with these options; returns what became of it and the Hub's words.

        :raises HubUnavailable: no answer, or the Hub failed.
        """
        # The plain object is what both versions read as the user's options; the Hub has the same ones stored for {}.
        response = await self._ask("POST", _path(user, server), body=json.dumps(dict(options)) if options else "")
        if response.code in (201, 202):
            return Started.ACCEPTED, ""
        words = _words(response)
        if response.code == 404:
            return Started.NO_USER, words
        if response.code == 400 and words.endswith(" is already running"):
            return Started.RUNNING, words
        if response.code == 400 and " is pending " in words:
            return Started.PENDING, words
        return Started.REFUSED, words

    async def stop_server(self, user: str, server: str) -> bool:
        """Ask to stop a server; returns whether the Hub knows of none any more.

        :raises HubUnavailable: no answer, or the Hub failed.
        """
        response = await self._ask("DELETE", _path(user, server))
        return response.code in (204, 400, 404)  # 400: not running

    async def active_users(self) -> tuple[HubUser, ...]:
        """Everybody with a server that runs, starts or stops.

        :raises HubUnavailable: no answer, or the Hub failed.
        """
        users: list[HubUser] = []
        offset: int | None = 0
        while offset is not None:
            response = await self._ask("GET", f"/users?state=active&limit=200&offset={offset}", accept=PAGES)
            if response.code != 200:
                raise HubUnavailable(f"the Hub answered {response.code} to a list of users: {_words(response)}")
            try:
                page, offset = _page(response.body)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise HubUnavailable(f"the Hub's list of users cannot be read: {error!r}") from None
            users += page
        return tuple(users)

    async def _ask(
        self, method: str, path: str, *, body: str | None = None, accept: str = "application/json"
    ) -> HTTPResponse:
        request = HTTPRequest(
            self.url + path,
            method=method,
            body=body,
            headers={
                "Authorization": f"token {self._token}",
                "Content-Type": "application/json",
                "Accept": accept,
            },
            connect_timeout=self.limit,
            request_timeout=self.limit,
        )
        try:
            response: HTTPResponse = await self._client.fetch(request, raise_error=False)
        except FAULTS as error:
            raise HubUnavailable(f"the Hub does not answer: {error}") from None
        if response.code >= 500:
            raise HubUnavailable(f"the Hub answered {response.code} to {method} {path}: {_words(response)}")
        return response


def _path(user: str, server: str) -> str:
    base = f"/users/{quote(user, safe='@~')}"
    return f"{base}/servers/{quote(server, safe='')}" if server else f"{base}/server"


def _page(body: bytes) -> tuple[list[HubUser], int | None]:
    """The users of one page, and where the next one begins."""
    document = json.loads(body)
    users = [
        HubUser(
            name=user["name"],
            servers=frozenset(user.get("servers") or ()),
            groups=frozenset(user.get("groups") or ()),
        )
        for user in document["items"]
    ]
    following = document["_pagination"]["next"]
    return users, None if following is None else int(following["offset"])


def _words(response: HTTPResponse) -> str:
    """The Hub's own message, shortened; never the whole answer."""
    try:
        return str(json.loads(response.body)["message"])[:WORDS_MAX]
    except (ValueError, KeyError, TypeError):
        return str(response.reason)

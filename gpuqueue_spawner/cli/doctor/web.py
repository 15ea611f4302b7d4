"""One question over HTTP, bounded. Knows no path; who is asked: hub.py, manager.py."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClient, HTTPClientError, HTTPRequest

from .clocks import now

LIMIT_S = 5.0


class NoAnswer(Exception):
    """Nobody answered; the words say why."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    document: Any  #: None: it is no JSON
    date: str  #: header; empty: none
    asked: float  #: Unix seconds of this machine
    answered: float


def ask(url: str, *, token: str = "") -> Answer:
    """GET once.

    :raises NoAnswer: there is none.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise NoAnswer(f"{url!r} is no address; allowed is http://... or https://...")
    headers = {"Authorization": f"token {token}"} if token else {}
    request = HTTPRequest(
        url, headers=headers, connect_timeout=LIMIT_S, request_timeout=LIMIT_S, follow_redirects=False
    )
    client, asked = HTTPClient(), now()
    try:
        response = client.fetch(request, raise_error=False)
    except (OSError, HTTPClientError, ValueError) as error:
        raise NoAnswer(str(error)) from None
    finally:
        client.close()
    if response.code == 599:
        raise NoAnswer(str(response.reason))
    try:
        document = json.loads(response.body)
    except (ValueError, TypeError):
        document = None
    return Answer(
        status=response.code,
        document=document,
        date=response.headers.get("Date", ""),
        asked=asked,
        answered=now(),
    )

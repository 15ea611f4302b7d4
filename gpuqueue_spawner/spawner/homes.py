"""Asks the service of people's folders for one, and for its volume.

Knows HTTP and its answers; what it does: gpuqueue_spawner/homes/.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

ANSWER_S = 20.0  # the service itself gives its share 10, and its cluster 5


class HomesAway(Exception):
    """No folder now: the service or its share does not answer, in words."""


class HomesRefused(Exception):
    """No folder at all, in words for whose it is."""


async def ask_for_folder(url: str, secret_file: str, folder: Mapping[str, Any]) -> str:
    """Return when the folder is there; the name of its volume, where a claim is to have one.

    :param folder: its name, and uid and gid of its owner; `claim` and its `namespace`, if there is to be a volume.
    :raises HomesAway: nobody answers, or in no way to go on from.
    :raises HomesRefused: it cannot be had.
    """
    request = HTTPRequest(
        f"{url.rstrip('/')}/homes/v1/folders",
        method="POST",
        headers={"Authorization": f"Bearer {_secret(secret_file)}", "Content-Type": "application/json"},
        body=json.dumps(dict(folder)),
        connect_timeout=ANSWER_S,
        request_timeout=ANSWER_S,
        follow_redirects=False,
    )
    client = SimpleAsyncHTTPClient(force_instance=True)
    try:
        async with asyncio.timeout(ANSWER_S + 1):
            answer = await client.fetch(request, raise_error=False)
    except (OSError, TimeoutError, HTTPClientError) as error:
        raise HomesAway(f"the service that makes folders does not answer ({str(error) or 'no answer'})") from None
    finally:
        client.close()
    if answer.code == 200:
        return _volume(answer.body, wanted="claim" in folder)
    words = _message(answer.body) or f"status {answer.code}"
    if answer.code in (400, 409):
        raise HomesRefused(words)
    raise HomesAway(words)


def _secret(path: str) -> str:
    try:  # anew each time: it can be changed without a restart of the Hub
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise HomesAway(f"the Hub cannot read its secret for it ({path}: {error.strerror})") from None


def _volume(body: bytes | None, *, wanted: bool) -> str:
    volume = _said(body, "volume")
    if wanted and not volume:
        raise HomesAway("the service that makes folders tells of no volume; it is older than this Hub")
    return volume


def _message(body: bytes | None) -> str:
    return _said(body, "message")


def _said(body: bytes | None, field: str) -> str:
    try:
        return str(json.loads(body or b"")[field])
    except (ValueError, KeyError, TypeError):
        return ""

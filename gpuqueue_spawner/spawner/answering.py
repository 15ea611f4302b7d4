"""Whether a launched notebook answers. Knows HTTP and poll_launch(); no queue. Who gives it how long: queueing.py."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

from jupyterhub.utils import make_ssl_context, url_path_join
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from .errors import LaunchFailed

ASK_EVERY_S = (0.1, 1.0)  #: first and longest pause between two questions
ANSWER_S = 5.0  #: a notebook that takes longer for one answer is asked again


async def notebook_answers(spawner: Any, url: str) -> None:
    """Return when the server at `url` answers its API, as the Hub will ask it next.

    :raises LaunchFailed: its process ended first.
    """
    asked = url_path_join(url, spawner.server.base_url if spawner.server else "/", "api")
    # One of its own: the Hub's shared one makes the eleventh request wait, and mute notebooks take their time.
    with closing(SimpleAsyncHTTPClient(force_instance=True)) as client:
        await _ask_until_answered(spawner, client, asked)


async def _ask_until_answered(spawner: Any, client: SimpleAsyncHTTPClient, asked: str) -> None:
    pause, longest = ASK_EVERY_S
    while True:
        answered = await _answers(client, asked, _ssl_context(spawner))
        # Asked after the answer: on a port that somebody else took, a stranger answers and our process has ended.
        status = await spawner.poll_launch()
        if status is not None:
            raise LaunchFailed(f"the notebook ended with status {status} before it answered")
        if answered:
            return
        await asyncio.sleep(pause)
        pause = min(longest, pause * 1.3)


async def _answers(client: SimpleAsyncHTTPClient, url: str, ssl_options: Any) -> bool:
    request = HTTPRequest(
        url,
        connect_timeout=ANSWER_S,
        request_timeout=ANSWER_S,
        follow_redirects=False,
        ssl_options=ssl_options,
    )
    try:
        response = await client.fetch(request, raise_error=False)
    except (OSError, TimeoutError, HTTPClientError):
        return False
    return response.code < 500


def _ssl_context(spawner: Any) -> Any:
    if not spawner.internal_ssl:
        return None
    settings = spawner.user.settings
    return make_ssl_context(
        settings.get("internal_ssl_key"), settings.get("internal_ssl_cert"), cafile=settings.get("internal_ssl_ca")
    )

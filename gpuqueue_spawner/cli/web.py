"""What a demo asks of its programs over HTTP.

Knows addresses and tokens that it is given. Who asks and when: demo.py and ending.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest, HTTPResponse

LOOK_S = 0.3
TELL_S = 15.0
ANSWER_S = 3.0
INSTANCE = "gpuqueue-demo"  #: what a Hub process would name itself by; it holds no jobs


async def wait_until_up(hub: str, site: str, *, tell: Callable[[str], None]) -> None:
    """Wait until Hub and queue answer through the proxy and know each other; now and then tell what is missing."""
    told = time.monotonic()
    while missing := await _missing(hub, site):
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            tell(f"is not up yet: {missing}")
        await asyncio.sleep(LOOK_S)


async def _missing(hub: str, site: str) -> str:
    """What keeps the site from being up, in words; empty: nothing."""
    try:
        what = "JupyterHub does not answer"
        await _fetch(f"{hub}/hub/api/")  # not through the proxy at first, which logs an error for each try
        what = "the proxy does not lead to JupyterHub"
        await _fetch(f"{site}/hub/api/")
        what = "the queue does not answer"
        answer = await _fetch(f"{site}/services/gpuqueue/health", errors=True)
        return str(json.loads(answer.body)["problem"])
    except (HTTPError, OSError, ValueError, KeyError):
        return what


async def resync_proxy(hub: str, token: str) -> None:
    """Have the Hub tell a proxy that was started anew of all its routes; else it would only after minutes."""
    while True:
        await asyncio.sleep(LOOK_S)
        with suppress(HTTPError, OSError):
            await _fetch(f"{hub}/hub/api/proxy", method="POST", token=f"token {token}", body="")
            return


async def stop_job(manager: str, secret: str, key: str) -> None:
    """Tell the manager that the Hub stops a job's server.

    :raises HTTPError, OSError: it does not take it.
    """
    url = f"{manager}/spawner/v1/jobs/{key}/stop"
    await _fetch(url, method="POST", token=f"Bearer {secret}", body=json.dumps({"instance": INSTANCE}))


async def _fetch(
    url: str, *, method: str = "GET", token: str = "", body: str | None = None, errors: bool = False
) -> HTTPResponse:
    headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
    request = HTTPRequest(
        url, method, headers, body, connect_timeout=ANSWER_S, request_timeout=ANSWER_S, follow_redirects=False
    )
    return await AsyncHTTPClient().fetch(request, raise_error=not errors)

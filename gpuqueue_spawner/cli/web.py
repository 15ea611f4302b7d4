"""What a demo asks of its programs over HTTP.

Knows addresses and tokens that it is given. Who asks and when: demo.py and ending.py.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest, HTTPResponse

LOOK_S = 0.3
ANSWER_S = 3.0


async def wait_until_up(hub: str, site: str) -> None:
    """Wait until Hub and queue answer through the proxy and know each other."""
    while not await _well(hub, site):  # noqa: ASYNC110  # another process does it, nothing tells us
        await asyncio.sleep(LOOK_S)


async def _well(hub: str, site: str) -> bool:
    with suppress(HTTPError, OSError, ValueError):
        await _fetch(f"{hub}/hub/api/")  # not through the proxy at first, which logs an error for each try
        await _fetch(f"{site}/hub/api/")
        health = json.loads((await _fetch(f"{site}/services/gpuqueue/health")).body)
        return not health["problem"]
    return False


async def resync_proxy(hub: str, token: str) -> None:
    """Have the Hub tell a proxy that was started anew of all its routes; else it would only after minutes."""
    while True:
        await asyncio.sleep(LOOK_S)
        with suppress(HTTPError, OSError):
            await _fetch(f"{hub}/hub/api/proxy", method="POST", token=f"token {token}", body="")
            return


async def stop_job(manager: str, secret: str, job: int) -> None:
    """Tell the manager that the Hub stops a job's server.

    :raises HTTPError, OSError: it does not take it.
    """
    url = f"{manager}/spawner/v1/jobs/{job}/stop"
    await _fetch(url, method="POST", token=f"Bearer {secret}", body=json.dumps({"instance": "demo"}))


async def _fetch(url: str, *, method: str = "GET", token: str = "", body: str | None = None) -> HTTPResponse:
    headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
    request = HTTPRequest(
        url, method, headers, body, connect_timeout=ANSWER_S, request_timeout=ANSWER_S, follow_redirects=False
    )
    return await AsyncHTTPClient().fetch(request)

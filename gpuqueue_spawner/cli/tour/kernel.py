"""Runs a cell in somebody's notebook server as JupyterLab does: through a kernel and its websocket.

Knows Jupyter's messages. For a tour without a browser.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

LIMIT_S = 120.0


class CellFailed(Exception):
    """The cell raised something, or printed nothing in time."""


def run_cell(server: str, token: str, code: str) -> str:
    """Run `code` in a new kernel; what it prints.

    :param server: URL of the notebook server, with a slash at its end.
    :raises CellFailed: it did not run to its end.
    """
    return asyncio.run(_run(server, token, code))


async def _run(server: str, token: str, code: str) -> str:
    headers = {"Authorization": f"token {token}"}
    request = HTTPRequest(f"{server}api/kernels", method="POST", headers=headers, body="{}", request_timeout=LIMIT_S)
    kernel = json.loads((await AsyncHTTPClient().fetch(request)).body)["id"]
    url = f"ws{server.removeprefix('http')}api/kernels/{kernel}/channels"
    try:
        async with asyncio.timeout(LIMIT_S):
            connection = await websocket_connect(HTTPRequest(url, headers=headers))
            try:
                await connection.write_message(json.dumps(_execute(code)))
                return await _printed(connection)
            finally:
                connection.close()
    except TimeoutError:
        raise CellFailed(f"the cell did not end within {LIMIT_S:g} s") from None


def _execute(code: str) -> dict[str, Any]:
    return {
        "channel": "shell",
        "header": {"msg_id": "cell", "msg_type": "execute_request", "version": "5.3", "session": uuid.uuid4().hex}
        | {"username": "tour", "date": ""},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False, "store_history": True, "allow_stdin": False},
    }


async def _printed(connection: Any) -> str:
    printed = ""
    while (text := await connection.read_message()) is not None:
        message = json.loads(text)
        if message["parent_header"].get("msg_id") != "cell":
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            printed += content["text"]
        elif message["msg_type"] == "error":
            raise CellFailed(f"{content['ename']}: {content['evalue']}")
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return printed  # said after all that it printed; the reply comes by another channel, and may be first
    raise CellFailed("the notebook server closed the connection")

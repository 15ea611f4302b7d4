"""Code that runs in a cell of somebody's notebook: through the proxy, by the messages that JupyterLab itself sends.

Knows jupyter-server's API of kernels. How a cell looks in a browser: gpuqueue_spawner/cli/tour/browser.py.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import requests
import websocket  # of the packages kubernetes and jupyter-server

from .visitor import Visitor

START_S = 60  # a Python that starts on a busy machine


class Kernel:
    """A new kernel of somebody's notebook."""

    def __init__(self, who: Visitor) -> None:
        self._headers = {"Authorization": f"token {who.token()}"}
        self._url = f"{who.site.url}/user/{who.name}/api/kernels"
        answer = requests.post(self._url, headers=self._headers, timeout=START_S)
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        self._id: str = answer.json()["id"]

    def run(self, code: str, *, within: float = START_S) -> str:
        """What the cell printed; fails with what it raised."""
        channels = f"ws{self._url.removeprefix('http')}/{self._id}/channels"
        connection = websocket.create_connection(channels, header=self._headers, timeout=within)
        try:
            asked = uuid.uuid4().hex
            connection.send(json.dumps(_request(code, asked)))
            return self._printed(connection, asked)
        finally:
            connection.close()

    @staticmethod
    def _printed(connection: websocket.WebSocket, asked: str) -> str:
        printed = ""
        while True:
            said: dict[str, Any] = json.loads(connection.recv())
            if said["parent_header"].get("msg_id") != asked:
                continue
            kind, content = said["msg_type"], said["content"]
            if kind == "stream" and content["name"] == "stdout":
                printed += content["text"]
            elif kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return printed


def _request(code: str, name: str) -> dict[str, Any]:
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    header = {"msg_id": name, "msg_type": "execute_request", "username": "", "session": name, "version": "5.4"}
    envelope = {"parent_header": {}, "metadata": {}, "channel": "shell", "buffers": []}
    return {"header": {**header, "date": ""}, "content": content, **envelope}

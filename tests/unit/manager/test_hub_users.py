"""The Hub's list of users: every page of it, or a worded fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from gpuqueue_spawner.manager.hub import PAGES, HubAPI, HubUnavailable


@contextmanager
def a_hub(answer: Callable[[RequestHandler], Any]) -> Iterator[HubAPI]:
    class Users(RequestHandler):
        def get(self) -> None:
            self.write(answer(self))

    socket, port = bind_unused_port()
    server = HTTPServer(Application([("/hub/api/users", Users)]))
    server.add_socket(socket)
    try:
        yield HubAPI(f"http://127.0.0.1:{port}/hub/api", "token")
    finally:
        server.stop()


def three_pages(handler: RequestHandler) -> str:
    """As the Hub pages: it gives out fewer than were asked for, and where it goes on."""
    assert handler.request.headers["Accept"] == PAGES
    offset = int(handler.get_query_argument("offset"))
    following = {"offset": offset + 2, "limit": 2, "url": "unused"} if offset < 4 else None
    items = [
        {"name": f"user{number}", "servers": {"": {}}, "groups": ["DGX-Users"]}
        for number in range(offset, min(5, offset + 2))
    ]
    return json.dumps({"items": items, "_pagination": {"offset": offset, "limit": 2, "total": 5, "next": following}})


async def test_nobody_behind_the_first_page_is_missing() -> None:
    """The server of somebody who is missing counts as lost, and is started anew."""
    with a_hub(three_pages) as hub:
        users = await hub.active_users()

    assert [user.name for user in users] == [f"user{number}" for number in range(5)]
    assert users[4].servers == {""}


@pytest.mark.parametrize("answer", ["<html>a proxy's page</html>", "[]", "{}"])
async def test_an_answer_that_is_no_list_of_users_is_no_answer(answer: str) -> None:
    with a_hub(lambda handler: answer) as hub, pytest.raises(HubUnavailable, match="cannot be read"):
        await hub.active_users()

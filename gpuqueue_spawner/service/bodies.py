"""Bodies over the limit: read and thrown away, so that their sender gets a worded answer and no memory fills up.

Knows tornado's connections. The answer itself: Base.prepare() in base.py. Without this tornado keeps a whole body
before any handler sees it, and closes the connection on a larger one: through the proxy, "service unavailable".
"""

from __future__ import annotations

from collections.abc import Awaitable

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

BODY_LIMIT = 64 * 1024  # bytes; the largest honest body, a form with a long note, is under 4 KiB
READ_LIMIT = 256 * 1024 * 1024  # bytes read to the end for the sake of an answer; past it the connection is closed
READ_S = 60.0  # seconds that a body may take to arrive


class Shortened(HTTPServerConnectionDelegate):
    """Hands an application at most one byte more than the limit of each body: enough to see that it was too large."""

    def __init__(self, application: HTTPServerConnectionDelegate) -> None:
        self._application = application

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Stand between connection and application."""
        return _ShortenedMessage(self._application.start_request(server_conn, request_conn))

    def on_close(self, server_conn: object) -> None:
        """Pass it on."""
        self._application.on_close(server_conn)


class _ShortenedMessage(HTTPMessageDelegate):
    def __init__(self, inner: HTTPMessageDelegate) -> None:
        self._inner = inner
        self._room = BODY_LIMIT + 1

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        kept = chunk[: self._room]
        self._room -= len(kept)
        return self._inner.data_received(kept) if kept else None

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()

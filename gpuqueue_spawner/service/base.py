"""What every handler stands on: who asks, limits on bodies, security headers, faults as worded answers.

Knows the Hub's mixin and where its defaults differ from what the queue promises: a bad token is always 401 and never a
redirect, an answer of the Hub is believed for seconds, the Hub is never waited for without a limit, and a foreign
Origin is refused even with the right XSRF token.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuthenticated
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from ..manager.run import Office
from .errors import BadInput, Fault, Forbidden, HubAway, NotFound, TooLarge, Unauthorized, fault_of
from .readers import Reader

log = logging.getLogger("gpuqueue")

BODY_LIMIT = 64 * 1024  # bytes; the largest honest body, a form with a long note, is under 4 KiB
HUB_LIMIT_S = 5.0
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class Base(RequestHandler):
    """Limits, headers and faults; knows nobody yet."""

    office: Office

    def __init__(self, application: Application, request: HTTPServerRequest, **kwargs: Any) -> None:
        self.office = application.settings["office"]
        super().__init__(application, request, **kwargs)

    @property
    def manager(self) -> Any:
        """The queue."""
        return self.office.manager

    def set_default_headers(self) -> None:
        """Allow nothing that the pages do not use."""
        self.set_header("Content-Security-Policy", CSP)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    async def prepare(self) -> None:
        """Refuse a body over the limit before anything else looks at it."""
        if len(self.request.body) > BODY_LIMIT or int(self.request.headers.get("Content-Length") or 0) > BODY_LIMIT:
            raise TooLarge(BODY_LIMIT)

    def json_body(self) -> dict[str, Any]:
        """The body, a JSON object.

        :raises BadInput: it is something else.
        """
        if not self.request.body:
            return {}
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise BadInput("body", _start(self.request.body), "one JSON object", code="gpuqueue.json") from None
        if not isinstance(body, dict):
            raise BadInput("body", body, "one JSON object", code="gpuqueue.json")
        return body

    def answer(self, body: dict[str, Any], *, status: int = 200) -> None:
        """Finish with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps(body, allow_nan=False))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Word what went wrong."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else HTTPError(status_code)
        fault = fault_of(error)
        self.set_status(fault.status)
        if fault.status == 401:
            self.set_header("WWW-Authenticate", "token")
        if fault.status == 503:
            self.set_header("Retry-After", "2")
        self.show_fault(fault)

    def show_fault(self, fault: Fault) -> None:
        """Finish with the fault; pages show it as a page."""
        self.answer(fault.json(), status=fault.status)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Expected faults are answers, not events; the rest is logged with all that it has."""
        if value is None or fault_of(value).code == "gpuqueue.bug":
            super().log_exception(typ, value, tb)


class UserHandler(HubOAuthenticated, Base):  # type: ignore[misc]  # jupyterhub has no types
    """Knows who asks, by a token of the Hub or by the service's own cookie."""

    reader: Reader

    async def prepare(self) -> None:
        """Find out who asks, and refuse what another site's page sent."""
        await super().prepare()
        self._refuse_foreign_origin()
        model = await self._ask_hub()
        if model is None:
            self.unknown_reader()
            return
        if not self.hub_auth.check_scopes(self.hub_auth.access_scopes, model):
            raise Forbidden(f"{model['name']} has no access to the queue", code="gpuqueue.access")
        self.reader = Reader.of(model)
        if self.request.method in WRITES:
            self.check_xsrf_cookie()

    async def _ask_hub(self) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(HUB_LIMIT_S):
                model: Any = await self.hub_auth.get_user(self, sync=False)
        except (TimeoutError, HTTPError, OSError):  # the mixin words a Hub that is away as an HTTPError of its own
            raise HubAway from None
        self._hub_auth_user_cache = model
        return dict(model) if model else None

    def unknown_reader(self) -> None:
        """An API answers 401; pages send a browser to the login instead."""
        raise Unauthorized

    def _refuse_foreign_origin(self) -> None:
        origin = self.request.headers.get("Origin")
        foreign = bool(origin) and urlsplit(origin).netloc.lower() != self.request.host.lower()
        cross_site = self.request.headers.get("Sec-Fetch-Site") == "cross-site" and self.request.method in WRITES
        if foreign or cross_site:
            raise Forbidden("the request comes from another site's page", code="gpuqueue.origin")

    def check_xsrf_cookie(self) -> None:
        """Word the mixin's refusal."""
        try:
            super().check_xsrf_cookie()
        except HTTPError:
            raise Forbidden("the page is too old or not ours; load it again and repeat", code="gpuqueue.xsrf") from None

    async def visible(self, job_id: str) -> Any:
        """A job that the reader may see.

        :raises NotFound: there is none, or it is somebody else's.
        """
        if not job_id.isdecimal() or len(job_id) > 18:
            raise NotFound("job")
        job = await self.manager.job(int(job_id))
        if job is None or not self.reader.sees(job):
            raise NotFound("job")
        return job


class SpawnerHandler(Base):
    """Knows that the Hub's spawners ask, by a secret of their own."""

    async def prepare(self) -> None:
        """Compare the secret ourselves: it is good for these endpoints only."""
        await super().prepare()
        given = self.request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not self.settings["spawner_secret"].matches(given):
            raise Unauthorized


def _start(body: bytes) -> str:
    return body[:60].decode("utf-8", "replace")

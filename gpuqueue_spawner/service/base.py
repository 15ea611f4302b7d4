"""What every handler stands on: who asks, limits on bodies, security headers, faults as worded answers.

Knows the Hub's mixin and where its defaults differ from what the queue promises: a bad token is always 401 and never a
redirect, the event loop never waits for the Hub, a change by cookie always needs the XSRF token, and a foreign Origin
is refused even with it. Whose a token is: tokens.py.
"""

from __future__ import annotations

import hmac
import json
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuthenticated
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from ..manager.run import Office
from ..model import Job
from . import records
from .acts import possible_acts
from .bodies import BODY_LIMIT
from .errors import BadInput, Fault, Forbidden, NotFound, TooLarge, Unauthorized, fault_of
from .inputs import parse
from .readers import Reader
from .tokens import Model

READS = frozenset({"GET", "HEAD", "OPTIONS"})
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
        if self.manager.fence is None:
            # A cluster's service leads new connections to the manager that leads, and leaves a proxy its old ones.
            self.set_header("Connection", "close")
        self.clear_header("Server")

    async def prepare(self) -> None:
        """Refuse a body over the limit before anything else looks at it."""
        if len(self.request.body) > BODY_LIMIT:
            raise TooLarge(BODY_LIMIT)

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        """Refuse what is not text, in a path, a query or a form.

        :raises BadInput: it is not UTF-8.
        """
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput(name or "path", value, "text in UTF-8") from None

    def json_body(self) -> dict[str, Any]:
        """The body, a JSON object.

        :raises BadInput: it is something else.
        """
        return parse(self.request.body) if self.request.body else {}

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
        if fault.status == 405:
            self.set_header("Allow", ", ".join(self.methods()))
        if fault.status == 503:
            self.set_header("Retry-After", "2")
        self.show_fault(fault)

    @classmethod
    def methods(cls) -> tuple[str, ...]:
        """What is possible at this path."""
        names = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
        return tuple(name for name in names if getattr(cls, name.lower()) is not getattr(RequestHandler, name.lower()))

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
    model: Model | None = None  #: what the Hub says of who asks

    async def prepare(self) -> None:
        """Find out who asks, and refuse what another site's page sent."""
        await super().prepare()
        self._refuse_foreign_page()
        self.model = await self.ask_whose()
        if self.model is None:
            if self._given_token() is not None:
                raise Unauthorized
            self.unknown_reader()
        else:
            self.reader = self.let_in(self.model)

    async def ask_whose(self) -> Model | None:
        """Ask whose token this is; None: nobody's, or there is none. A token in a header wins, also when it is bad.

        :raises HubAway: it cannot be found out.
        :raises Forbidden: the cookie came without the XSRF token that it needs.
        """
        token = self._given_token()
        if token is None:
            cookie = self.get_secure_cookie(self.hub_auth.cookie_name)
            token = cookie.decode("ascii", "replace") if cookie else ""
            if token:
                self.check_xsrf_cookie()
        model: Model | None = await self.settings["tokens"].model(token, reads=self.request.method in READS)
        return model

    def _given_token(self) -> str | None:
        """The token of the Authorization header; None without one. Other schemes are another server's business."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() in ("token", "bearer") else None

    def let_in(self, model: Model) -> Reader:
        """The reader, if the Hub lets them use the queue.

        :raises Forbidden: it does not.
        """
        if not self.hub_auth.check_scopes(self.hub_auth.access_scopes, model):
            raise Forbidden(f"{model['name']} has no access to the queue", code="gpuqueue.access")
        return Reader.of(model)

    def get_current_user(self) -> Model | None:
        """What is known already: the mixin's own asks the Hub and blocks the event loop meanwhile."""
        return self.model

    def unknown_reader(self) -> None:
        """An API answers 401; pages send a browser to the login instead."""
        raise Unauthorized

    def _refuse_foreign_page(self) -> None:
        origin = self.request.headers.get("Origin")
        foreign = origin is not None and _host(origin) != self.request.host.lower()
        # Browsers of old do not send it; "none" is a person who typed the address.
        site = self.request.headers.get("Sec-Fetch-Site", "none")
        if foreign or (self.request.method not in READS and site not in ("same-origin", "none")):
            raise Forbidden("the request comes from another site's page", code="gpuqueue.origin")

    def check_xsrf_cookie(self) -> None:
        """Refuse what another page of this host could send in the reader's name.

        The mixin asks reads by Sec-Fetch-Mode, and would trust one of its values in a write too.

        :raises Forbidden: the token is missing or wrong.
        """
        try:
            if self.request.method in READS:
                super().check_xsrf_cookie()
                return
            given = self.get_argument("_xsrf", "") or self.request.headers.get("X-XSRFToken", "")
            if hmac.compare_digest(given.encode(), self.xsrf_token):
                return
        except HTTPError:
            pass
        raise Forbidden("the page is too old or not ours; load it again and repeat", code="gpuqueue.xsrf")

    async def visible(self, job_id: str) -> Job:
        """A job that the reader may see.

        :raises NotFound: there is none, or it is somebody else's.
        """
        if not (job_id.isascii() and job_id.isdecimal()) or len(job_id) > 18:
            raise NotFound("job")
        job: Job | None = await self.manager.job(int(job_id))
        if job is None or not self.reader.sees(job):
            raise NotFound("job")
        return job


class ApiHandler(UserHandler):
    """The users' API: answers from the queue that leads, or says that it cannot."""

    async def prepare(self) -> None:
        """A manager that stands by knows an old queue or none, and its "no jobs" would frighten people."""
        await super().prepare()
        self.manager.leading()

    def choice(self, name: str, *values: str) -> str:
        """An argument of the query that has few values, the first of them unless given.

        :raises BadInput: it has another one.
        """
        value = self.get_query_argument(name, values[0])
        if value not in values:
            raise BadInput(name, value, " or ".join(values))
        return value

    def job(self, job: Job) -> dict[str, Any]:
        """A job as this reader sees it."""
        possible = possible_acts(job, self.reader)
        return {**records.job(self.manager, job), "possible": list(possible)}


class SpawnerHandler(Base):
    """Knows that the Hub's spawners ask, by a secret of their own."""

    async def prepare(self) -> None:
        """Compare the secret ourselves: it is good for these endpoints only."""
        await super().prepare()
        given = self.request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not self.settings["spawner_secret"].matches(given):
            raise Unauthorized


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""

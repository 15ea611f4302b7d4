"""Which path leads to which handler: the service's prefix, which the proxy routes, and the spawners', not routed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tornado.web import Application

from . import public
from .api import jobs, nodes, queue, stream, users
from .base import Base
from .errors import NotFound
from .login import OAuthCallback
from .pages import admin as pages_admin
from .pages import jobs as pages_jobs
from .pages.base import Page
from .spawner_api import form as spawner_form
from .spawner_api import jobs as spawner_jobs
from .spawner_api import stream as spawner_stream

HERE = Path(__file__).parent
SPAWNER = "/spawner/v1/"
API = "api/v1/"


class Nowhere(Base):
    """No such path."""

    async def prepare(self) -> None:
        """404, in the words of everything else."""
        raise NotFound("path")


class NoPage(Page):
    """No such page."""

    async def prepare(self) -> None:
        """404 as a page, before anybody is asked to log in for it."""
        raise NotFound("page")


def application(*, prefix: str, settings: dict[str, Any]) -> Application:
    """Put the paths together.

    :param prefix: the service's, with slashes on both ends.
    """
    return Application(
        [
            (SPAWNER + "jobs", spawner_jobs.Jobs),
            (SPAWNER + r"jobs/([0-9a-f]{32})/launch", spawner_jobs.LaunchJob),
            (SPAWNER + r"jobs/([0-9a-f]{32})/ready", spawner_jobs.ReadyJob),
            (SPAWNER + r"jobs/([0-9a-f]{32})/failed", spawner_jobs.FailedJob),
            (SPAWNER + r"jobs/([0-9a-f]{32})/exited", spawner_jobs.ExitedJob),
            (SPAWNER + r"jobs/([0-9a-f]{32})/stop", spawner_jobs.StopJob),
            (SPAWNER + "claims", spawner_jobs.Claims),
            (SPAWNER + "stream", spawner_stream.Stream),
            (SPAWNER + "form", spawner_form.Form),
            (prefix + "oauth_callback", OAuthCallback),
            (prefix + "health", public.Health),
            (prefix + "availability", public.Availability),
            (prefix + API + "openapi.yaml", public.OpenAPI),
            (prefix + API + "me", users.Me),
            (prefix + API + "estimate", users.Estimate),
            (prefix + API + "users/([^/]+)/end", users.EndAll),
            (prefix + API + "jobs", jobs.Jobs),
            (prefix + API + "jobs/([^/]+)", jobs.Job),
            (prefix + API + "jobs/([^/]+)/events", jobs.Events),
            (prefix + API + "jobs/([^/]+)/([^/]+)", jobs.JobAction),
            (prefix + API + "queue", queue.Queue),
            (prefix + API + "nodes", nodes.Nodes),
            (prefix + API + "nodes/([^/]+)/([^/]+)", nodes.NodeAction),
            (prefix + API + "stream", stream.EventStream),
            (prefix, pages_jobs.MyJobs),
            (prefix + "jobs/([^/]+)", pages_jobs.Story),
            (prefix + "jobs/([^/]+)/([^/]+)", pages_jobs.Act),
            (prefix + "admin", pages_admin.Admin),
            (prefix + "admin/jobs", pages_admin.AdminJobs),
            (prefix + "admin/nodes/([^/]+)/([^/]+)", pages_admin.AdminNode),
            (prefix + "admin/users/([^/]+)/([^/]+)", pages_admin.AdminUser),
            (prefix + "static/hub/(.*)", public.Static, {"path": public.HUB_STATIC}),
            (prefix + "static/(.*)", public.Static, {"path": HERE / "static"}),
            (prefix + API + ".*", Nowhere),
            (prefix + ".*", NoPage),
        ],
        default_handler_class=Nowhere,
        hub_prefix=prefix,
        prefix=prefix,
        xsrf_cookies=False,  # checked in base.py, after it is known who asks and by what
        websocket_max_message_size=1024 * 1024,
        **settings,
    )

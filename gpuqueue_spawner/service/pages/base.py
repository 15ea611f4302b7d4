"""What every page shares: the login, the frame, faults as pages, and forms that work without a script."""

from __future__ import annotations

from typing import Any

from ..base import UserHandler
from ..errors import Fault, Unauthorized
from ..inputs import ActInput, read
from ..views import error as error_view
from ..views.cards import Rules


class Page(UserHandler):
    """A page for one reader."""

    def unknown_reader(self) -> None:
        """Send a browser to the login; a script's request is told."""
        if self.request.method == "GET" and not self.fragment:
            self.redirect(self.get_login_url())
        else:
            raise Unauthorized

    @property
    def fragment(self) -> bool:
        """Whether a script asks for the content only."""
        return self.get_query_argument("fragment", "") == "1"

    @property
    def frame(self) -> dict[str, Any]:
        """What every view wants to know."""
        return {
            "site": self.settings["site"],
            "reader": self.reader,
            "nodes": self.manager.snapshot().nodes,
            "now": self.manager.clock(),
        }

    @property
    def rules(self) -> Rules:
        """What the site allows with a lease."""
        policy = self.manager.policy
        return Rules(extend_by=policy.extend_by, max_extension=policy.max_extension, warning=policy.warning)

    def page(self, template: str, view: object) -> None:
        """Print a ready view."""
        printed = self.settings["templates"].get_template(template)
        self.finish(printed.render(view=view, xsrf=self.xsrf_token.decode("ascii"), fragment=self.fragment))

    def show_fault(self, fault: Fault) -> None:
        """As a page, or as JSON for a script."""
        if "application/json" in self.request.headers.get("Accept", ""):
            super().show_fault(fault)
            return
        self.set_status(fault.status)
        view = error_view.view(
            site=self.settings["site"],
            reader=getattr(self, "reader", None),
            now=self.manager.clock(),
            status=fault.status,
            code=fault.code,
            message=fault.message,
            possible=tuple(fault.more.get("possible", ())),
        )
        self.page("error.html", view)

    @property
    def note(self) -> str:
        """The note of a form.

        :raises BadInput: it is too long, or holds control characters.
        """
        return read(ActInput, {"note": self.get_body_argument("note", "").strip()}).note

    def done(self, to: str = "") -> None:
        """Back to a page of ours; a script only wants to know that it was done."""
        self.redirect(self.settings["prefix"] + to, status=303)

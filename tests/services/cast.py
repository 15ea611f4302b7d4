"""The people of the API's tests: one with jobs in every state, one with none, the GPU team, and bad tokens.

Knows how to bring a site into the situations that the API's description tells of. Needs four free GPUs.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import requests

from .program import until
from .site import PREFIX, Site
from .visitor import Visitor

TEAM = ("rita", "olaf", "dana")  #: may read, operate, administer


class Cast:
    """Everybody. Jobs are asked for when a test needs one."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.alice = Visitor(site, "alice").login()
        self.bob = Visitor(site, "bob").login()

    # ---- tokens ----------------------------------------------------------------------------------------------------

    def token(self, who: str) -> str:
        """The token that somebody shows; empty: none."""
        fixed = {"nobody": "", "stranger": secrets.token_hex(16), "service": self.site.service_token}
        if who in fixed:
            return fixed[who]
        special = {
            "expired": self._expired,
            "revoked": self._revoked,
            "without-access": self._without_access,
        }
        return special[who]() if who in special else self._kept(who)

    def _kept(self, who: str) -> str:
        if who not in self._tokens:
            if who not in ("alice", "bob"):
                self.site.hub_api("POST", f"/users/{who}")  # 409 for those that the roles have made
            self._tokens[who] = self.new_token(who)[0]
        return self._tokens[who]

    @cached_property
    def _tokens(self) -> dict[str, str]:
        return {}

    def new_token(self, who: str, **more: Any) -> tuple[str, str]:
        """A token that nobody has shown yet, and its id."""
        answer = self.site.hub_api("POST", f"/users/{who}/tokens", data=json.dumps({"note": "test", **more}))
        assert answer.status_code == 201, answer.text
        return answer.json()["token"], answer.json()["id"]

    def revoke(self, who: str, id: str) -> None:
        """Take a token back."""
        assert self.site.hub_api("DELETE", f"/users/{who}/tokens/{id}").status_code == 204

    def _expired(self) -> str:
        if "expired" not in self._tokens:
            self._tokens["expired"], _ = self.new_token("alice", expires_in=1)
            time.sleep(1.5)
        return self._tokens["expired"]

    def _revoked(self) -> str:
        if "revoked" not in self._tokens:
            self._tokens["revoked"], id = self.new_token("alice")
            self.revoke("alice", id)
        return self._tokens["revoked"]

    def _without_access(self) -> str:
        if "without-access" not in self._tokens:
            self._tokens["without-access"], _ = self.new_token("alice", scopes=["read:users:name!user"])
        return self._tokens["without-access"]

    # ---- asking ----------------------------------------------------------------------------------------------------

    def ask(self, who: str, method: str, path: str, *, token: str | None = None, **more: Any) -> requests.Response:
        """Ask the API through the proxy; `browser` is alice with cookies only."""
        headers = dict(more.pop("headers", None) or {})
        shown = self.token(who) if token is None and who != "browser" else token
        if shown:
            headers["Authorization"] = f"token {shown}"
        if "json" in more:
            more["data"] = json.dumps(more.pop("json"))
        client = self.browser if who == "browser" else requests
        url = self.site.url + PREFIX + path
        return client.request(method, url, headers=headers, timeout=30, allow_redirects=False, **more)

    @cached_property
    def browser(self) -> requests.Session:
        """Alice's browser, which knows the service's cookie."""
        answer = self.alice.session.get(self.site.url + PREFIX, timeout=20)
        assert answer.status_code == 200, answer.text[:300]
        return self.alice.session

    def xsrf(self) -> dict[str, str]:
        """What alice's browser adds to a change; a program that shows a token need not."""
        self.browser.get(self.site.url + PREFIX, timeout=20)
        return {"X-XSRFToken": self.alice.xsrf(PREFIX)}

    # ---- jobs ------------------------------------------------------------------------------------------------------

    def job(self, state: str) -> int:
        """Alice's job in a state: `running`, `queued` behind it, `ended`."""
        return int(getattr(self, f"_{state}")()["id"])

    def _running(self) -> dict[str, Any]:
        job = self.alice.job()
        if job is None:
            self.alice.start("gpu1")
        return self.alice.job_is("running")

    def _queued(self) -> dict[str, Any]:
        self._running()
        if self.alice.job(server="later") is None:
            until(lambda: self.alice.server(server="later") is None, within=20, what="the Hub let go of the last one")
            self.alice.start("gpu4", server="later")
        until(lambda: (self.alice.job(server="later") or {}).get("place"), within=20, what="it has its place")
        return self.alice.job_is("queued", server="later")

    def _ended(self) -> dict[str, Any]:
        if not hasattr(self, "_last"):
            waiting = self._queued()
            answer = self.alice.queue("POST", f"jobs/{waiting['id']}/cancel", body={"note": "no longer needed"})
            assert answer.status_code == 200, answer.text
            self._last: dict[str, Any] = answer.json()["job"]
        return self._last

    def close(self) -> None:
        """End what is left."""
        for job in self.alice.queue("GET", "jobs").json()["jobs"]:
            self.alice.queue("POST", f"jobs/{job['id']}/stop", body={})
        self.alice.all_ended()


@contextmanager
def cast(site: Site) -> Iterator[Cast]:
    """Everybody, and nothing of theirs afterwards."""
    it = Cast(site)
    try:
        yield it
    finally:
        it.close()

"""A person at the site, over HTTP as a browser would: logs in, asks for a notebook, waits, cancels, opens it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from .program import until
from .site import PASSWORD, PREFIX, Site

PATIENCE_S = 3.0


class Visitor:
    """One person with a session of cookies."""

    def __init__(self, site: Site, name: str, *, password: str = PASSWORD) -> None:
        self.site, self.name = site, name
        self.session = requests.Session()
        self._password = password

    # ---- the Hub -------------------------------------------------------------------------------------------------

    def login(self) -> Visitor:
        """Log in by the form."""
        self.session.get(self.site.url + "/hub/login", timeout=20)
        answer = self.session.post(
            self.site.url + "/hub/login",
            params={"_xsrf": self.xsrf("/hub/")},
            data={"username": self.name, "password": self._password},
            allow_redirects=False,
            timeout=30,
        )
        words = f"{self.name} could not log in: {answer.status_code}"
        assert answer.status_code == 302, f"{words}\n{self.site.story() if answer.status_code >= 500 else answer.text}"
        return self

    def xsrf(self, path: str) -> str:
        """The XSRF token of a path."""
        return next(
            (cookie.value or "" for cookie in self.session.cookies if cookie.name == "_xsrf" and cookie.path == path),
            "",
        )

    def _server_path(self, server: str) -> str:
        base = f"/hub/api/users/{self.name}"
        return f"{base}/servers/{quote(server)}" if server else f"{base}/server"

    def hub(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask the Hub's API as a page would."""
        if not self.xsrf("/hub/"):
            self.session.get(self.site.url + "/hub/home", timeout=20)
        headers = {"X-XSRFToken": self.xsrf("/hub/"), "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        return self.session.request(method, self.site.url + path, headers=headers, timeout=30, **more)

    def start(self, profile: str = "gpu1", *, server: str = "", **options: Any) -> requests.Response:
        """Ask for a notebook."""
        answer = self.hub("POST", self._server_path(server), data=json.dumps({"profile": profile, **options}))
        assert answer.status_code in (201, 202), f"{answer.status_code} {answer.text}"
        return answer

    def stop(self, *, server: str = "") -> requests.Response:
        """Stop the notebook, or cancel its start."""
        return self.hub("DELETE", self._server_path(server))

    def server(self, *, server: str = "") -> dict[str, Any] | None:
        """What the Hub says of the server; None: it knows of none."""
        answer = self.site.hub_api("GET", f"/users/{self.name}")
        found: dict[str, Any] | None = answer.json().get("servers", {}).get(server)
        return found

    def progress(self, *, server: str = "", within: float = 20) -> Iterator[dict[str, Any]]:
        """The events of the waiting page."""
        path = self._server_path(server) + "/progress"
        if not self.xsrf("/hub/"):
            self.session.get(self.site.url + "/hub/home", timeout=20)

        def asked() -> requests.Response:
            wanted = {"_xsrf": self.xsrf("/hub/")}
            return self.session.get(self.site.url + path, params=wanted, stream=True, timeout=(5, within))

        answer, end = asked(), time.monotonic() + PATIENCE_S
        # Between the end of a start and its outcome the Hub says for a moment that nothing starts.
        while answer.status_code == 400 and "is not starting" in answer.text and time.monotonic() < end:
            time.sleep(0.1)
            answer = asked()
        with answer:
            assert answer.status_code == 200, f"{answer.status_code} {answer.text[:200]}"
            for line in answer.iter_lines():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    # ---- the queue -----------------------------------------------------------------------------------------------

    def queue(self, method: str, path: str, *, body: Any = None, **more: Any) -> requests.Response:
        """Ask the queue's API with a token of the Hub."""
        headers = {"Authorization": f"token {self.token()}", **more.pop("headers", {})}
        data = json.dumps(body) if body is not None else None
        url = self.site.url + PREFIX + "api/v1/" + path
        return requests.request(method, url, headers=headers, data=data, timeout=30, **more)

    def token(self) -> str:
        """A token of this person, made once."""
        if not hasattr(self, "_token"):
            answer = self.site.hub_api("POST", f"/users/{self.name}/tokens", data=json.dumps({"note": "test"}))
            assert answer.status_code == 201, answer.text
            self._token: str = answer.json()["token"]
        return self._token

    def job(self, *, server: str = "") -> dict[str, Any] | None:
        """The open job of a server."""
        jobs = self.queue("GET", "jobs").json()["jobs"]
        return next((job for job in jobs if job["server"] == server), None)

    def job_is(self, state: str, *, server: str = "", within: float = 30) -> dict[str, Any]:
        """Wait until the job is in this state; one that waits, until it is told why, which comes a moment later."""

        def there() -> dict[str, Any] | None:
            job = self.job(server=server)
            if job is None or job["state"] != state or (state == "queued" and not job["reason"]):
                return None
            return job

        return until(there, within=within, what=f"the job of {self.name} is {state}", story=self.site.story)  # type: ignore[return-value]

    def no_job(self, *, server: str = "", within: float = 30) -> None:
        """Wait until the job has ended."""
        until(
            lambda: self.job(server=server) is None,
            within=within,
            what=f"{self.name} has no open job",
            story=self.site.story,
        )

    def all_ended(self, *, within: float = 40) -> None:
        """Wait until nothing of this person waits, runs or holds a GPU, and the Hub knows it too."""

        def ended() -> bool:
            return not self.queue("GET", "jobs").json()["jobs"] and not self.site.hub_api(
                "GET", f"/users/{self.name}"
            ).json().get("servers")

        until(ended, within=within, what=f"everything of {self.name} has ended", story=self.site.story)

    def environment(self, *, server: str = "") -> dict[str, Any]:
        """What the small notebook sees, asked directly."""
        job = self.job(server=server)
        assert job is not None
        pid = self.site.database("select pid from jobs where id = ?", job["id"])[0][0]
        environ = Path(f"/proc/{pid}/environ").read_bytes().decode()
        return dict(item.partition("=")[::2] for item in environ.split("\0") if item)

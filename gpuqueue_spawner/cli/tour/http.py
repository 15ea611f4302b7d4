"""A person of the tour without a browser: the same forms and pages over HTTP, read as text.

Knows the pages by the ids that the browser uses too. What is done in which order: steps.py.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener

from .kernel import CellFailed, run_cell
from .steps import Wait, Wrong

ANSWER_S = 30.0
PATIENCE_S = 180.0
AGAIN_S = 0.5
PREFIX = "/services/gpuqueue/"

FAULTS = (URLError, HTTPException, OSError, CellFailed)


class HttpPerson:
    """Somebody with a jar of cookies."""

    def __init__(self, site: str, name: str, password: str) -> None:
        self.name, self.site, self._password = name, site, password
        self._jar = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self._jar))
        self._url = site  #: of the last page, after redirects
        self._seen = ""  #: the last page

    def log_in(self) -> None:
        """By the Hub's form."""
        self._get("/hub/login")
        self._post(f"/hub/login?_xsrf={self._hub_xsrf()}", username=self.name, password=self._password)
        if "/hub/login" in self._url:
            raise Wrong(f"{self.name} could not log in")

    def ask(self, gpus: int, *, name: str) -> None:
        """Send the form as a browser would."""
        self._until(lambda: 'id="profile-item-gpu"' in self._get("/hub/spawn"), "the form")
        option = "profile-option-gpu--gpus"
        listed = f'value="gpu{gpus}"' in self._seen
        amount = {option: f"gpu{gpus}"} if listed else {f"{option}--unlisted-choice": str(gpus)}
        action = self._found(r'id="spawn_form" action="([^"]+)"', "the form's address")
        self._post(action, profile="gpu", job_name=name, hours="2", **amount)

    def arrives(self) -> None:
        """The waiting page leads to the notebook."""

        def there() -> bool:
            self._get(f"/hub/spawn-pending/{self.name}")
            return urlsplit(self._url).path.startswith(f"/user/{self.name}/")

        self._until(there, f"the notebook of {self.name}")

    def wait(self) -> Wait:
        """Place, estimate and reason, from the stream that the waiting page follows."""
        last: dict[str, Any] = {}

        def placed() -> bool:
            self._get(f"/hub/spawn-pending/{self.name}")
            progress = re.search(r'data-progress="([^"]+)"', self._seen)
            for event in self._events(progress[1]) if progress else ():
                last.update(event)
                if event.get("start"):
                    return True
            return False

        self._until(placed, f"the place of {self.name}")
        start = time.strftime("%H:%M", time.localtime(-(-last["start"] // 300) * 300))
        why = " ".join(filter(None, (last["lead"], last["proof"])))
        return Wait(place=last["place"], of=last["of"], start=start, why=why)

    def is_told_to_wait(self) -> str:
        """What the address of the waiting page says until the Hub has taken the request up again.

        Only a page that was open all the while can be held to its words: this one may be asked for too late.
        """
        said: list[str] = []

        def back() -> bool:
            page = self._get(f"/hub/spawn-pending/{self.name}", may_fail=True)
            kept = re.search(r"Your place is kept[^<]*|[^.<>]*its place is kept[^<]*", page)
            said.append(_text(kept[0]) if kept else "nobody answers")
            return "data-progress" in page

        self._until(back, "the Hub is back")
        return next((words for words in said if "kept" in words), said[0])

    def is_told_of_the_end(self) -> str:
        """What the address of the waiting page says afterwards."""

        def told() -> bool:
            return "This request was cancelled" in self._get(f"/hub/spawn-pending/{self.name}", may_fail=True)

        self._until(told, f"{self.name} is told")
        return _text(self._found(r'role="alert">([^<]*This request was cancelled[^<]*)', "the words"))

    def run(self, code: str) -> str:
        """By a kernel of the notebook server."""
        answer = self._post(f"/hub/api/users/{self.name}/tokens", json_body={"note": "tour", "expires_in": 600})
        return run_cell(f"{self.site}/user/{self.name}/", json.loads(answer)["token"], code)

    def stop(self, name: str) -> None:
        """By the form of its card."""
        self._get(PREFIX)
        job = self._found(
            rf'id="job-(\d+)">\s*<header><h2><a[^>]*>{re.escape(html.escape(name))}<', f"the card of {name}"
        )
        self._post(f"{PREFIX}jobs/{job}/stop", _xsrf=self._service_xsrf())
        self._until(lambda: f'id="ended-{job}"' in self._get(PREFIX), f"{name} has ended")

    def queue(self) -> list[str]:
        """From the admin page."""
        self._get(PREFIX + "admin")
        return [_text(row.partition("</td>")[2]) for _, row in self._rows()]  # without the box to pick it

    def drop(self, name: str, *, note: str) -> None:
        """By the form over the waiting jobs."""
        job = next((number for number, row in self._rows() if name in _text(row)), "")
        self._post(f"{PREFIX}admin/jobs", _xsrf=self._service_xsrf(), job=job, do="cancel", note=note)
        self._until(lambda: f'id="ended-{job}"' in self._get(PREFIX + "admin"), f"{name} has ended")

    def shot(self, name: str) -> None:
        """Nothing to see."""

    def _rows(self) -> list[tuple[str, str]]:
        return re.findall(r'<tr role="row" id="waiting-(\d+)">(.*?)</tr>', self._seen, re.S)

    # Asking

    def _get(self, path: str, *, may_fail: bool = False) -> str:
        return self._ask(Request(urljoin(self.site, path)), may_fail=may_fail)  # noqa: S310  # our own site

    def _post(self, path: str, *, json_body: Any = None, **fields: str) -> str:
        headers = {"Content-Type": "application/json", "X-XSRFToken": self._hub_xsrf()} if json_body else {}
        body = json.dumps(json_body) if json_body else urlencode(fields)
        return self._ask(Request(urljoin(self.site, path), body.encode(), headers))  # noqa: S310  # our own site

    def _ask(self, request: Request, *, may_fail: bool = False) -> str:
        try:
            with self._opener.open(request, timeout=ANSWER_S) as answer:
                self._url, self._seen = answer.url, answer.read().decode()
        except HTTPError as error:
            self._url, self._seen = request.full_url, error.read().decode()
            if not may_fail:
                raise
        except (URLError, HTTPException, OSError):
            self._seen = ""
            if not may_fail:
                raise
        return self._seen

    def _events(self, path: str) -> Iterator[dict[str, Any]]:
        with self._opener.open(urljoin(self.site, html.unescape(path)), timeout=ANSWER_S) as answer:
            for line in answer:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def _until(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                if true():
                    return
            except (URLError, HTTPException, OSError):  # the Hub may just be coming back
                pass
            time.sleep(AGAIN_S)
        raise Wrong(f"{what}: not within {PATIENCE_S:g} s; the last page was {self._url}")

    def _found(self, pattern: str, what: str) -> str:
        found = re.search(pattern, self._seen)
        if found is None:
            raise Wrong(f"{what} is not on the page {self._url}")
        return html.unescape(found[1])

    def _hub_xsrf(self) -> str:
        return next(
            (cookie.value or "" for cookie in self._jar if cookie.name == "_xsrf" and cookie.path == "/hub/"), ""
        )

    def _service_xsrf(self) -> str:
        return self._found(r'name="_xsrf" value="([^"]+)"', "the form's token")


def _text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())

"""Login at a real Hub with a real directory: what the login page says, and what the Hub knows afterwards."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
import requests

from gpuqueue_spawner.cli.directory import group, person
from tests.services.program import until
from tests.services.site import PREFIX, Site, site
from tests.services.slapd import GROUPS, PEOPLE, Slapd, slapd
from tests.services.visitor import Visitor

from .conftest import _python

WITH_DIRECTORY = """
c.JupyterHub.authenticator_class = "gpuqueue_spawner.auth.GPUQueueLDAPAuthenticator"
c.CryptKeeper.keys = ["{key}"]
c.Authenticator.allow_all = False
c.Authenticator.admin_users = set()
ldap = c.GPUQueueLDAPAuthenticator
ldap.server_address = "127.0.0.1"
ldap.server_port = {port}
ldap.tls_strategy = "insecure"
ldap.bind_dn_template = ["uid={{username}},{people}"]
ldap.allowed_groups = ["cn=DGX-Users,{groups}"]
ldap.admin_groups = ["cn=DGX-Admins,{groups}"]
ldap.group_search_base = "{groups}"
ldap.require_uid = True
ldap.answer_timeout = 2
ldap.login_timeout = 3.0
"""


def member(name: str, number: int) -> str:
    return person(name, f"{name}'s password", uidNumber=number, gidNumber=number)


@dataclass
class Place:
    """A site and the directory of its people."""

    site: Site
    ldap: Slapd

    def visitor(self, name: str) -> Visitor:
        return Visitor(self.site, name, password=f"{name}'s password")

    def attempt(self, name: str, password: str | None = None) -> tuple[int, str]:
        """One try to log in by the form: the status, and what the page says about it."""
        session = requests.Session()
        session.get(self.site.url + "/hub/login", timeout=10)
        xsrf = next(cookie.value for cookie in session.cookies if cookie.name == "_xsrf" and cookie.path == "/hub/")
        answer = session.post(
            self.site.url + "/hub/login",
            params={"_xsrf": xsrf},
            data={"username": name, "password": f"{name}'s password" if password is None else password},
            allow_redirects=False,
            timeout=30,
        )
        said = re.search(r'class="login_error">(.*?)</p>', answer.text, re.DOTALL)
        return answer.status_code, unescape(said.group(1)).strip() if said else ""


@pytest.fixture(scope="module", params=["6", "5.5"])
def running_place(request: pytest.FixtureRequest) -> Iterator[Place]:
    people = ["alice", "bob", "carl", "dana"]
    entries = [
        *(member(name, 10001 + number) for number, name in enumerate(people)),
        member("outsider", 10010),
        person("nonumber", "nonumber's password"),
        group("DGX-Users", [*people, "nonumber"]),
        group("DGX-Admins", ["dana"]),
        group("Vision", ["alice"]),
    ]
    with ExitStack() as stack:
        ldap = stack.enter_context(slapd(*entries))
        more = WITH_DIRECTORY.format(port=ldap.port, people=PEOPLE, groups=GROUPS, key="0" * 64)
        here = site(hub_more=more, manager_more='c.Policy.member_groups = ["DGX-Users"]', python=_python(request.param))
        yield Place(stack.enter_context(here), ldap)


@pytest.fixture
def place(running_place: Place) -> Iterator[Place]:
    """The site, its directory running again after whatever a test did to it."""
    yield running_place
    running_place.ldap.program.signal(signal.SIGCONT)


def test_the_hub_learns_admins_and_groups_at_the_login(place: Place) -> None:
    """Directory groups become Hub groups, the admin group makes Hub admins."""
    for name in ("alice", "dana"):
        place.visitor(name).login()

    alice, dana = (place.site.hub_api("GET", f"/users/{name}").json() for name in ("alice", "dana"))

    assert (alice["admin"], sorted(alice["groups"])) == (False, ["DGX-Users", "Vision"])
    assert (dana["admin"], sorted(dana["groups"])) == (True, ["DGX-Admins", "DGX-Users"])


def test_the_notebook_runs_under_the_directory_s_number(place: Place) -> None:
    """uid and gid come along, as far as the process itself."""
    visitor = place.visitor("bob").login()
    visitor.start("gpu1")

    job = visitor.job_is("running")
    pid = place.site.database("select pid from jobs where id = ?", job["id"])[0][0]
    status = Path(f"/proc/{pid}/status").read_text()
    visitor.stop()
    visitor.no_job()

    expected = 10002 if os.geteuid() == 0 else os.geteuid()
    assert re.search(r"^Uid:\s+(\d+)\s+(\d+)", status, re.MULTILINE).groups() == (str(expected),) * 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "password", "status", "words"),
    [
        ("alice", "wrong", 403, "Invalid username or password"),
        ("alice", "", 403, "Invalid username or password"),
        ("al)(uid=*", "alice's password", 403, "Invalid username or password"),
        ("nobody", "alice's password", 403, "Invalid username or password"),
        ("outsider", None, 403, "Your account is not in a group that may use this JupyterHub."),
        ("nonumber", None, 403, "Your entry in the directory has no numeric user (uidNumber)"),
    ],
)
def test_the_login_page_says_why(place: Place, name: str, password: str | None, status: int, words: str) -> None:
    """In words where the password was right, alike for everything else."""
    answered, said = place.attempt(name, password)

    assert answered == status
    assert words in said


def test_who_leaves_the_group_cannot_log_in_again_and_what_runs_goes_on(place: Place) -> None:
    """The queue keeps its promises to jobs; the door is shut."""
    visitor = place.visitor("carl").login()
    visitor.start("gpu1")
    visitor.job_is("running")

    place.ldap.leave("carl", "DGX-Users")
    status, said = place.attempt("carl")
    job = visitor.job()
    remarked = until(lambda: "may no longer log in" in admin_page(place), within=20, what="the admin page shows it")
    place.ldap.join("carl", "DGX-Users")
    visitor.stop()
    visitor.no_job()

    assert (status, said[:44]) == (403, "Your account is not in a group that may use ")
    assert job is not None
    assert job["state"] == "running"
    assert remarked


def admin_page(place: Place) -> str:
    """What dana reads."""
    token = place.visitor("dana").login().token()
    return requests.get(place.site.url + PREFIX + "admin", headers={"Authorization": f"token {token}"}, timeout=10).text


def test_a_directory_that_hangs_delays_logins_and_not_the_hub(place: Place) -> None:
    """Ten people at the login page wait, are told why, and everybody else works on."""
    visitor = place.visitor("alice").login()
    answers: list[tuple[int, str]] = []
    place.ldap.program.signal(signal.SIGSTOP)

    tries = [threading.Thread(target=lambda: answers.append(place.attempt("bob"))) for _ in range(10)]
    for one in tries:
        one.start()
    slowest = 0.0
    while any(one.is_alive() for one in tries):
        began = time.monotonic()
        assert visitor.hub("GET", "/hub/home").status_code == 200
        slowest = max(slowest, time.monotonic() - began)
    place.ldap.program.signal(signal.SIGCONT)

    assert {status for status, _ in answers} == {503}
    assert all("Nothing is wrong with your password" in said for _, said in answers)
    assert slowest < 2, "one page took as long as a login"
    until(lambda: place.attempt("bob")[0] == 302, within=10, what="logins work again")

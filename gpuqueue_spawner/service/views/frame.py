"""What every page has around it: who reads it, the Hub's navigation, the addresses of the queue and of the Hub.

Knows addresses. Who may do what is decided in acts.py; here it only decides what is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from ...model import Job
from ..readers import Reader
from .moments import SECONDS, Moment, moment


@dataclass(frozen=True, kw_only=True)
class Site:
    """Addresses, with a slash at both ends."""

    base: str = "/"  #: of the whole site
    hub: str = "/hub/"
    service: str = "/services/gpuqueue/"
    look: str = "/services/gpuqueue/static/hub/"  #: of JupyterHub's style sheet, icons and scripts
    named_servers: bool = True  #: whether a user may have more than one server
    help_url: str = ""  #: where the GPU team is reached; empty: not printed

    def server(self, job: Job) -> str:
        """The notebook itself."""
        return "/".join([f"{self.base}user/{_escaped(job.user)}", *filter(None, [_escaped(job.server)]), ""])

    def wait(self, job: Job) -> str:
        """The Hub's page for a server that starts."""
        return self._of_server("spawn-pending", job)

    def again(self, job: Job) -> str:
        """The Hub's form for this server."""
        return self._of_server("spawn", job)

    def story(self, job: Job) -> str:
        """What happened to a job."""
        return f"{self.service}jobs/{job.id}"

    def act(self, job: Job, action: str) -> str:
        """Where a form posts an action to."""
        return f"{self.service}jobs/{job.id}/{action}"

    def act_on_node(self, node: str, action: str) -> str:
        """Where the admin page posts to for a node."""
        return f"{self.service}admin/nodes/{quote(node, safe='')}/{action}"

    def act_on_user(self, user: str, action: str) -> str:
        """Where the admin page posts to for all jobs of a user."""
        return f"{self.service}admin/users/{quote(user, safe='')}/{action}"

    def _of_server(self, page: str, job: Job) -> str:
        return "/".join([f"{self.hub}{page}/{_escaped(job.user)}", *filter(None, [_escaped(job.server)])])


@dataclass(frozen=True, kw_only=True)
class Link:
    """One entry of the navigation."""

    word: str
    url: str
    current: bool = False


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A sentence that matters, in a box at the head of the page."""

    tone: str  #: warn, bad, waiting
    icon: str
    lead: str
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The frame of one page."""

    title: str
    site: Site
    reader: str
    links: tuple[Link, ...]
    updated: Moment
    notices: tuple[Notice, ...]
    stream: str  #: address that tells when something changed; empty: the page does not change


def frame(
    title: str,
    *,
    site: Site,
    reader: Reader,
    now: float,
    current: str = "",
    notices: tuple[Notice, ...] = (),
    live: bool = True,
) -> Frame:
    """Frame a page; `current`: the word of its entry in the navigation."""
    entries = [("Home", f"{site.hub}home"), ("Token", f"{site.hub}token")]
    if "admin-ui" in reader.scopes:
        entries.append(("Admin", f"{site.hub}admin"))
    entries.append(("My jobs", site.service))
    if reader.reads_all:
        entries.append(("Queue admin", f"{site.service}admin"))
    return Frame(
        title=title,
        site=site,
        reader=reader.name,
        links=tuple(Link(word=word, url=url, current=word == current) for word, url in entries),
        updated=moment(now, now=now, form=SECONDS),
        notices=notices,
        stream=f"{site.service}api/v1/stream" if live else "",
    )


def cautions(words: str) -> tuple[Notice, ...]:
    """Say what admins must know of how people are kept apart."""
    return (Notice(tone="warn", icon="triangle-exclamation", lead=words),) if words else ()


def unknown_notice(unknown: str) -> tuple[Notice, ...]:
    """Say that nobody is admitted because nobody can say what is free."""
    if not unknown:
        return ()
    return (
        Notice(
            tone="warn",
            icon="plug-circle-xmark",
            lead="Nobody starts at the moment.",
            words=f"{unknown.rstrip('.')}. Running notebooks run on, and every place in the queue is kept.",
        ),
    )


def _escaped(name: str) -> str:
    return quote(name, safe="@~")

"""The spawn form: KubeSpawner's own, with the wait beside each profile, and fields for hours and a name.

Knows what the queue says about each choice. Reading what was submitted: profiles.py. The page itself: templates/.

A form that is open asks for itself anew, with what is entered in it in a header: only the Hub can read it, by
KubeSpawner's own code, and an argument in the address would make the Hub start the server.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .client import QueueClient
from .errors import QueueRefused, QueueUnreachable, SpawnRefused
from .jobs import JobView, amounts, waiting_words
from .profiles import FORM, NAME_LIMIT, NODES, ProfileReader, Rules, Wish, read_hours, read_name, read_wish, unwrapped

TEMPLATES = Path(__file__).parent / "templates"
CHOICES_LIMIT = 64  #: asked of the queue for one form
ENTERED = "X-GPUQueue-Entered"  #: header with what is entered in an open form, urlencoded as it would be submitted
ENTERED_LIMIT = 4096  #: characters; a form without its name field has under 1,000
EXACT = "as entered"  #: key of what is entered; no profile's, those have no space


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One thing that the form lets people choose, and when it would start."""

    key: str  #: profile slug, or slug--option--choice with the other options as they are by default
    name: str  #: display name of the profile
    kind: str = "unknown"  #: now, wait, never or unknown; refused: no request may ask for it
    words: str = ""  #: "free now", "about 40 min"
    start: float | None = None  #: Unix seconds


@dataclass(frozen=True, kw_only=True)
class FormView:
    """Everything that the form prints."""

    profiles: Markup  #: KubeSpawner's part of the form
    choices: tuple[Choice, ...]
    entered: str  #: what an open form asked for, as it came
    exact: Choice | None  #: the same as the queue sees it
    hours: str  #: what the field holds
    default_hours: float
    max_hours: float
    job_name: str
    name_limit: int
    waiting: JobView | None  #: this server already waits in the queue
    waiting_words: str  #: its place, in words
    reachable: bool  #: whether the queue answered
    shown: Mapping[str, Any]  #: room, queue and limits, ready to print; empty: the queue did not answer
    ticket: str  #: with it the open page asks anew; good for this user's availability only
    refresh: str  #: where it asks, empty: nowhere

    @property
    def told(self) -> tuple[Choice, ...]:
        """Every choice whose wait is in the page."""
        return (*self.choices, self.exact) if self.exact else self.choices


@dataclass(frozen=True, kw_only=True)
class Entered:
    """What an open form holds, as far as its wait depends on it."""

    text: str = ""  #: as it came; empty: the form is only being opened
    wish: Wish | None = None
    refusal: str = ""  #: why no request may ask for it

    @classmethod
    def of(cls, text: str, *, profile_list: Any, rules: Rules, spawner: Any = None) -> Entered:
        """Read it as if it were submitted."""
        if not text or len(text) > ENTERED_LIMIT:
            return cls()
        form = parse_qs(text, keep_blank_values=True)
        try:
            options = ProfileReader.of(profile_list).parse_form(form)
            wish = read_wish(options, profile_list=profile_list, rules=rules, spawner=spawner)
            return cls(text=text, wish=wish)
        except SpawnRefused as refused:
            return cls(text=text, refusal=refused.jupyterhub_message)

    def choice(self, wait: Mapping[str, Any]) -> Choice | None:
        """It, with the wait that the queue told."""
        if self.wish is None:
            return Choice(key=EXACT, name="", kind="refused", words=self.refusal) if self.text else None
        return _choice(EXACT, self.wish.profile, wait)


def form_context(
    *,
    profile_list: Any,
    options: Mapping[str, Any],
    rules: Rules,
    answer: Mapping[str, Any] | None,
    now: float,
    entered: Entered = Entered(),
    spawner: Any = None,
) -> FormView:
    """Put together what the form prints; `answer` is the queue's, None: it did not answer.

    :param spawner: who asks, for what profiles say by a function, and the site's own template.
    """
    saved = _valid(options, profile_list, rules, spawner)
    reader = ProfileReader.of(profile_list, saved, spawner=spawner, **_settings(spawner, FORM))
    said = answer or {}
    waits = said.get("waits") or {}
    open_job = JobView.of_document(said["open"]) if said.get("open") else None
    return FormView(
        profiles=Markup(reader.render()),  # noqa: S704  # KubeSpawner's template over what the site configured
        choices=tuple(_choice(key, name, waits.get(key) or {}) for key, name, _ in _choices(reader.profile_list)),
        entered=entered.text,
        exact=entered.choice(waits.get(EXACT) or {}),
        hours=f"{read_hours(saved.get('hours'), rules=rules):g}",
        default_hours=rules.default_hours,
        max_hours=rules.max_hours,
        job_name=read_name(saved.get("job_name")),
        name_limit=NAME_LIMIT,
        waiting=open_job,
        waiting_words=waiting_words(open_job, now=now) if open_job else "",
        reachable=answer is not None,
        shown=said.get("shown") or {},
        ticket=str(said.get("ticket") or ""),
        refresh=str(said.get("refresh") or ""),
    )


async def render_form(spawner: Any) -> str:
    """The form as HTML; empty where the site has no profiles. The Hub calls it."""
    profile_list = await spawner.profiles()
    if not profile_list:
        return ""
    options = spawner.user_options or (spawner.orm_spawner.user_options if spawner.orm_spawner else None) or {}
    entered = Entered.of(_header(spawner), profile_list=profile_list, rules=spawner.rules, spawner=spawner)
    answer = await _ask(spawner, profile_list, entered)
    view = form_context(
        profile_list=profile_list,
        options=options,
        rules=spawner.rules,
        answer=answer,
        now=spawner.clock(),
        entered=entered,
        spawner=spawner,
    )
    return render(view)


def render(view: FormView) -> str:
    """Print one view."""
    return _environment().get_template("gpuqueue_form.html").render(view=view)


def _header(spawner: Any) -> str:
    """What the page that asks holds; the Hub leaves its handler at the spawner for the form."""
    handler = getattr(spawner, "handler", None)
    return str(handler.request.headers.get(ENTERED, "")) if handler else ""


async def _ask(spawner: Any, profile_list: Any, entered: Entered) -> dict[str, Any] | None:
    queue: QueueClient = spawner.queue
    usual = spawner.rules.default_hours * 3600
    site = {"spawner": spawner, **_settings(spawner, NODES)}
    choices = [{**choice, "lease": usual} for choice in _asked(profile_list, site)]
    if entered.wish is not None:
        exact = ProfileReader.of(profile_list, entered.wish.options, **site)
        choices.append({**_demand(EXACT, exact), "lease": entered.wish.lease})
    body = {"user": spawner.user.name, "server": spawner.name, "choices": choices}
    try:
        return await queue.post("/spawner/v1/form", body, within=spawner.form_timeout)
    except (QueueUnreachable, QueueRefused) as error:
        spawner.log.warning("The form of %s is shown without waits: %s", spawner.user.name, error)
        return None


def _settings(spawner: Any, names: Sequence[str]) -> dict[str, Any]:
    """What a site has set of KubeSpawner's; a spawner of another kind has none of them."""
    return {name: getattr(spawner, name) for name in names if spawner is not None and spawner.has_trait(name)}


def _asked(profile_list: Any, site: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, _, options in _choices(ProfileReader.of(profile_list).profile_list):
        try:
            yield _demand(key, ProfileReader.of(profile_list, options, **site))
        except SpawnRefused:
            continue  # only an unlisted value makes it complete: nothing to ask yet


def _demand(key: str, reader: ProfileReader) -> dict[str, Any]:
    resources = amounts(reader.resources())
    return {"key": key, "resources": resources, "constraints": reader.constraints().document()}


def _choices(profiles: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every profile as it is by default, and with each single other choice."""

    def every() -> Iterator[tuple[str, str, dict[str, str]]]:
        for profile in profiles:
            slug, name = str(profile["slug"]), str(profile["display_name"])
            yield slug, name, {"profile": slug}
            for option, content in (profile.get("profile_options") or {}).items():
                for choice in content.get("choices") or {}:
                    yield f"{slug}--{option}--{choice}", name, {"profile": slug, option: choice}

    return itertools.islice(every(), CHOICES_LIMIT)


def _choice(key: str, name: str, wait: Mapping[str, Any]) -> Choice:
    return Choice(
        key=key,
        name=name,
        kind=str(wait.get("kind") or "unknown"),
        words=str(wait.get("words") or ""),
        start=wait.get("start"),
    )


def _valid(options: Mapping[str, Any], profile_list: Any, rules: Rules, spawner: Any) -> dict[str, Any]:
    """Saved options, unless the profiles have changed since."""
    try:
        read_wish(options, profile_list=profile_list, rules=rules, spawner=spawner)
        return unwrapped(options)
    except SpawnRefused:
        return {}


@functools.cache
def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)

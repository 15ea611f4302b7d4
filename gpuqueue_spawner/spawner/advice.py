"""Which of a Hub's settings work against the queue, and what to set instead; told once, when the Hub has started.

Knows JupyterHub's settings and what each does to a spawn that waits for hours. Who sets them right: hub.py.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyterhub.app import JupyterHub

from .profiles import ProfileReader, clash

LONGEST_WAIT_S = 30 * 24 * 3600  #: a start_timeout below this can end a wait
STARTED_EVERY_S = 0.5
STARTED_WITHIN_S = 300.0

_told = False


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One setting that works against the queue."""

    setting: str
    value: object
    give: str  #: the value to give
    why: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.value!r}: set it to {self.give}. {self.why}"


def advice(app: Any) -> list[Advice]:
    """What to change on a configured Hub."""
    return [*_hub_advice(app), *_spawner_advice(app), *_service_advice(app.services), *_profile_advice(app)]


def _hub_advice(app: Any) -> Iterator[Advice]:
    slow = app.tornado_settings.get("slow_spawn_timeout", 10)
    if slow != 0:
        yield Advice(
            setting='c.JupyterHub.tornado_settings["slow_spawn_timeout"]',
            value=slow,
            give="0",
            why="Every request would keep its browser or API call waiting for so long before it shows the queue.",
        )
    if app.concurrent_spawn_limit:
        yield Advice(
            setting="c.JupyterHub.concurrent_spawn_limit",
            value=app.concurrent_spawn_limit,
            give="0",
            why="It counts waiting requests: after so many nobody else can queue.",
        )
    if app.active_server_limit:
        yield Advice(
            setting="c.JupyterHub.active_server_limit",
            value=app.active_server_limit,
            give="0",
            why="It counts waiting requests: after so many nobody else can queue.",
        )
    if app.cleanup_servers:
        yield Advice(
            setting="c.JupyterHub.cleanup_servers",
            value=True,
            give="False",
            why="Every restart of the Hub would end all notebooks and withdraw all waiting requests.",
        )
    if getattr(app.authenticator, "refresh_pre_spawn", False):
        yield Advice(
            setting="c.Authenticator.refresh_pre_spawn",
            value=True,
            give="False",
            why="Requests that the queue posts again after a restart would fail until their owner logs in.",
        )


def _spawner_advice(app: Any) -> Iterator[Advice]:
    start = effective(app, "start_timeout")
    if start < LONGEST_WAIT_S:
        yield Advice(
            setting=setting_name(app, "start_timeout"),
            value=start,
            give="315360000",
            why="It covers the whole wait: a request that waits longer would be withdrawn.",
        )
    failures = effective(app, "consecutive_failure_limit")
    if failures:
        yield Advice(
            setting=setting_name(app, "consecutive_failure_limit"),
            value=failures,
            give="0",
            why="JupyterHub 5 counts every refused request: after so many the Hub would end.",
        )
    http = effective(app, "http_timeout")
    if http < 30:
        yield Advice(
            setting=setting_name(app, "http_timeout"),
            value=http,
            give="120",
            why="A busy machine would lose a notebook, and its place, that answers a little later.",
        )


def _service_advice(services: Sequence[Mapping[str, Any]]) -> Iterator[Advice]:
    if not any(service.get("name") == "gpuqueue" for service in services):
        yield Advice(
            setting="c.JupyterHub.services",
            value=[str(service.get("name")) for service in services],
            give="the list with the service 'gpuqueue' in it, as configure() adds it",
            why="Nobody could open the queue's pages, and what a restart loses would not be posted again.",
        )
    for service in services:
        command = [str(word) for word in service.get("command") or ()]
        for word, following in itertools.zip_longest(command, command[1:], fillvalue=""):
            found = re.fullmatch(r"--max-age(?:=(.*))?", word)
            age = (found.group(1) or following) if found else "0"
            if found and age != "0":
                yield Advice(
                    setting=f"--max-age of the service {service.get('name')!r}",
                    value=age,
                    give="0, and let the queue's leases end what runs for too long",
                    why="It counts from the request: a server that waited for long would be ended early.",
                )


def _profile_advice(app: Any) -> Iterator[Advice]:
    if "profile_list" not in app.spawner_class.class_traits():
        return
    profiles = effective(app, "profile_list")
    for profile in [] if callable(profiles) else ProfileReader.of(profiles).profile_list:
        for option in clash(profile):
            yield Advice(
                setting=setting_name(app, "profile_list"),
                value=option,
                give=f"another name for this option of the profile {profile['display_name']!r}",
                why="The queue uses this name itself.",
            )


def effective(app: Any, trait: str) -> Any:
    """The value that a spawner of this Hub will have: the most specific class that the config names wins."""
    value = app.spawner_class.class_traits()[trait].default()
    for section in _sections(app, trait):
        value = app.config[section][trait]
    return value


def setting_name(app: Any, trait: str) -> str:
    """The setting that would have to change."""
    return f"c.{next(iter([*_sections(app, trait)][::-1]), 'Spawner')}.{trait}"


def _sections(app: Any, trait: str) -> list[str]:
    names = [parent.__name__ for parent in reversed(app.spawner_class.mro())]
    return [name for name in names if name in app.config and trait in app.config[name]]


def advise_once(log: Any) -> None:
    """Tell it once in this process. Called by configure() and by the first spawner, whichever comes first."""
    global _told
    if _told:
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return  # no Hub runs here
    _told = True
    task = loop.create_task(_advise_when_started(log), name="gpuqueue advice")
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


_tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references


async def _advise_when_started(log: Any) -> None:
    for _ in range(int(STARTED_WITHIN_S / STARTED_EVERY_S)):
        app = JupyterHub._instance
        if app is not None and getattr(app, "http_server", None) is not None:
            for each in advice(app):
                log.warning("Against the queue: %s", each)
            return
        await asyncio.sleep(STARTED_EVERY_S)

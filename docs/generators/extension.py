"""The only module here that knows Sphinx: puts generated pieces where a page says `<!-- generated: NAME -->`.

A page with such a piece is read anew by every build, as what it is made from is code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import api, changes, checks, commands, proofs, reasons, settings, states

PIECES: dict[str, Callable[[], str]] = {
    "api": api.api,
    "changelog": changes.changelog,
    "checks": checks.checks,
    "commands": commands.commands,
    "ends": reasons.ends,
    "events": states.events,
    "picture": states.picture,
    "proofs": proofs.proofs,
    "reasons": reasons.reasons,
    "settings": settings.settings,
    "states": states.states,
    "transitions": states.transitions,
}
MARK = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: _generated(env))
    return {"parallel_read_safe": True}


def fill(text: str) -> str:
    """A page with its pieces."""
    return MARK.sub(lambda found: PIECES[found[1]](), text)


def _fill(app: Any, page: str, source: list[str]) -> None:
    source[0] = proofs.link(fill(source[0]))


def _generated(env: Any) -> list[str]:
    found = []
    for page in env.found_docs:
        with open(env.doc2path(page), encoding="utf-8") as file:
            text = file.read()
        if MARK.search(text) or proofs.ID.search(text):
            found.append(page)
    return found

"""The changelog, from one note for each change.

Knows the folders of docs/changes/: `next`, and one for each release, named by day and version: `2026-12-01-0.1.0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "changes"
KINDS = {"added": "Added", "changed": "Changed", "fixed": "Fixed", "removed": "Removed", "security": "Security"}
NAME = re.compile(rf"(\d+)-({'|'.join(KINDS)})\.md")
RELEASE = re.compile(r"(\d{4}-\d{2}-\d{2})-(\d+\.\d+\.\d+\S*)")


class BadNote(Exception):
    """A note that the changelog cannot take."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """One change."""

    issue: int
    kind: str
    text: str


def changelog() -> str:
    """Every release, the newest first, and before it what comes with the next one."""
    parts = []
    for title, notes in releases():
        parts.append(f"## {title}\n")
        for kind, word in KINDS.items():
            told = [note for note in notes if note.kind == kind]
            if told:
                parts.append(f"### {word}\n")
                parts += [f"{note.text}\n" for note in told]
    return "\n".join(parts)


def releases() -> Iterator[tuple[str, list[Note]]]:
    """Title and notes."""
    folders = [folder for folder in FOLDER.iterdir() if folder.is_dir()]
    dated = [(found, folder) for folder in folders if (found := RELEASE.fullmatch(folder.name))]
    unknown = {folder.name for folder in folders} - {folder.name for _, folder in dated} - {"next"}
    if unknown:
        raise BadNote(f"docs/changes/ has {sorted(unknown)}; allowed is `next` and `YYYY-MM-DD-VERSION`")
    if (FOLDER / "next").is_dir():
        yield "Not released yet", notes(FOLDER / "next")
    for found, folder in sorted(dated, key=lambda each: each[0][1], reverse=True):
        yield f"{found[2]} ({found[1]})", notes(folder)


def notes(folder: Path) -> list[Note]:
    """The notes of one folder, by issue.

    :raises BadNote: a file of another name, or an empty one.
    """
    found = []
    for path in folder.iterdir():
        name = NAME.fullmatch(path.name)
        text = path.read_text(encoding="utf-8").strip()
        if name is None:
            raise BadNote(f"{path.name} is no note; allowed is ISSUE-KIND.md, KIND one of {', '.join(KINDS)}")
        if not text or text.startswith("#"):
            raise BadNote(f"{path.name} must start with a sentence")
        found.append(Note(issue=int(name[1]), kind=name[2], text=text))
    return sorted(found, key=lambda note: note.issue)

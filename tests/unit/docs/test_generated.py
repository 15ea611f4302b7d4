"""What is printed from the code is all there, and an oversight is an error."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from generators import api, changes, checks, diagram, extension, reasons, settings, states
from generators.proofs import DOCS, ROOT

from gpuqueue_spawner.cli.doctor.command import CHECKS
from gpuqueue_spawner.model import TRANSITIONS, End, Event, ReasonCode, State


def test_every_setting_is_printed_with_its_help_and_version() -> None:
    page = settings.settings()

    for cls in settings.every_class():
        for name, trait in settings.own(cls).items():
            assert f"`c.{cls.__name__}.{name}`" in page
            assert trait.help.strip().split("\n")[0].split(".. version")[0].strip() in page
    assert "versionadded" not in page


def test_a_class_with_settings_that_no_page_lists_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CLASSES", {"One file": (settings.CLASSES["The Hub's file"][0],)})

    with pytest.raises(ValueError, match="no page lists"):
        settings.settings()


def test_the_diagram_has_an_arrow_for_every_line_of_the_table() -> None:
    drawn = diagram.arrows()

    lines = {(state, after, str(event)) for state, row in TRANSITIONS.items() for event, after in row.items()}
    assert {(arrow.start, arrow.end, word) for arrow in drawn for word in arrow.words.split(", ")} == lines
    assert diagram.svg().count('class="event"') == len(drawn)
    assert diagram.AT.keys() == set(State)


def test_every_label_of_the_diagram_is_within_it() -> None:
    for x, y, words in re.findall(r'class="event" x="(-?\d+)" y="(-?\d+)">([^<]+)<', diagram.svg()):
        half = 4.1 * len(words)
        assert half <= int(x) <= diagram.WIDTH - half
        assert diagram.TEXT <= int(y) <= diagram.HEIGHT


def test_states_events_reasons_and_ends_are_explained() -> None:
    assert states.MEANS.keys() == set(State)
    assert states.HAPPENS.keys() == set(Event)
    assert reasons.WHAT_HELPS.keys() == set(ReasonCode)
    assert reasons.ENDS.keys() == set(End)
    assert all(f"`{reason}`" in reasons.reasons() for reason in ReasonCode)


def test_every_operation_and_record_of_the_api_is_printed() -> None:
    document, page = api.read(), api.api()

    for path, item in document["paths"].items():
        assert all(f"### `{method.upper()} {path}`" in page for method in api.METHODS if method in item)
    assert all(f"### {name}\n" in page for name in document["components"]["schemas"])
    anchors = set(re.findall(r"\]\(#(api-[\w-]+)\)", page))
    assert all(f"({anchor})=" in page for anchor in anchors)


def test_every_check_of_the_doctor_is_printed_once() -> None:
    page = checks.checks()

    assert [page.count(f"`{each.name}`") for each in CHECKS] == [1] * len(CHECKS)
    assert all(each.asks in page for each in CHECKS)


def test_every_page_knows_its_pieces() -> None:
    """And every piece is on a page."""
    asked = {name for page in DOCS.rglob("*.md") for name in extension.MARK.findall(page.read_text(encoding="utf-8"))}

    assert asked == extension.PIECES.keys()


def test_the_changelog_has_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest release first, what is not released before it; kinds in their order."""
    for name, text in {
        "2026-01-02-0.1.0/1-added.md": "First.",
        "2026-03-04-0.2.0/7-fixed.md": "Mended.",
        "2026-03-04-0.2.0/5-added.md": "Second.",
        "next/9-changed.md": "Soon.",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(changes, "FOLDER", tmp_path)

    order = re.findall(r"Soon|Second|Mended|First|0\.\d\.0|Not released yet", changes.changelog())

    assert order == ["Not released yet", "Soon", "0.2.0", "Second", "Mended", "0.1.0", "First"]


@pytest.mark.parametrize("name", ["notes.txt", "5-new.md", "added.md"])
def test_a_note_with_another_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("Something changed.")

    with pytest.raises(changes.BadNote):
        changes.notes(tmp_path)


def test_the_notes_of_this_project_are_taken() -> None:
    assert all(notes for _, notes in changes.releases())


def test_every_dependency_says_why_it_is_here() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = parser["options"]["install_requires"] + "".join(parser["options.extras_require"].values())
    names = {re.split(r"[\[<>=!~ ]", line.strip())[0].lower() for line in wanted.splitlines() if line.strip()}

    explained = set(re.findall(r"`([\w.-]+)`", (DOCS / "dependencies.md").read_text(encoding="utf-8")))

    assert names - {name.lower() for name in explained} == set()

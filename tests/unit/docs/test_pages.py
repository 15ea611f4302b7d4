"""Commands, options, files and links that the pages name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from generators.commands import options_of
from generators.proofs import ROOT, pages

from gpuqueue_spawner.cli import COMMANDS

from .configurations import PROGRAMS
from .snippets import commands

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[\w-]+)?\)")
SETTING = re.compile(r"`c\.(\w+)\.(\w+)")
SAID = re.compile(r"`gpuqueue ([a-z][a-z-]+)([^`]*)`")
PAGES = sorted(pages())


def _known(name: str, rest: list[str]) -> list[str]:
    """What is wrong with one use of the command; nothing: it is fine."""
    if name not in COMMANDS:
        return [f"there is no command gpuqueue {name}"]
    used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    return [f"gpuqueue {name} has no option {option}" for option in sorted(used - options_of(name))]


def test_every_command_that_is_told_exists() -> None:
    """In blocks to type, with their options."""
    checked, wrong = 0, []
    for snippet, words in commands():
        if Path(words[0]).name == "gpuqueue":
            checked += 1
            wrong += [f"{snippet}: {problem}" for problem in _known(words[1], words[2:])]

    assert checked
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_within_a_sentence_exists(page: Path) -> None:
    for name, rest in SAID.findall(page.read_text(encoding="utf-8")):
        if name not in ("NAME", "COMMAND"):
            assert not _known(name, rest.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_setting_within_a_sentence_exists(page: Path) -> None:
    """As c.Class.name; of either program."""
    for section, name in SETTING.findall(page.read_text(encoding="utf-8")):
        readers = [program[section] for program in PROGRAMS.values() if section in program]
        assert any(name in reader.class_trait_names(config=True) for reader in readers), f"c.{section}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file(page: Path) -> None:
    """Readable where the pages lie, not only where they are built."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{target} is not there"


def test_every_make_target_that_is_told_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = {word for page in PAGES for word in re.findall(r"\bmake ([a-z]+)\b[` ]", page.read_text(encoding="utf-8"))}

    assert {word for word in told if word in ("demo", "cluster", "test", "check", "docs", "clean")} <= targets
    assert {"demo", "cluster", "test", "check", "docs"} <= told


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "_static").glob("*.png"):
        assert picture.stat().st_size < 200_000, f"{picture.name} is over 200 KB"


def test_the_pages_speak_of_the_project_alone() -> None:
    """No place of the machine they were written on."""
    for page in PAGES:
        assert not re.search(r"/(work|tmp|root|home/(?!alice)\w+)/", page.read_text(encoding="utf-8"))

"""How findings are told: to people in lines of a terminal, to programs as JSON. Knows words only."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from ... import __version__
from .findings import Check, Finding, Outcome

WIDTH = 100
FIRST = 13  #: columns of the outcome
SECOND = 19  #: columns of the check's name
_COLOURS = {Outcome.OK: "32", Outcome.NOT_CHECKED: "2", Outcome.WARNING: "33", Outcome.PROBLEM: "1;31"}
_COUNTED = {
    Outcome.PROBLEM: ("problem", "problems"),
    Outcome.WARNING: ("warning", "warnings"),
    Outcome.OK: ("in order", "in order"),
    Outcome.NOT_CHECKED: ("not checked", "not checked"),
}

Found = tuple[Check, Finding]


def lines(found: Sequence[Found], *, colour: bool) -> Iterator[str]:
    """A line a check, what is well first and problems last with what to do, and a count."""
    for outcome in Outcome:  # in the order of their weight
        for check, finding in found:
            if finding.outcome is outcome:
                yield from _lines(check, finding, colour=colour)
    yield ""
    yield summary(found)


def summary(found: Iterable[Found]) -> str:
    """How many of each, in a sentence."""
    outcomes = [finding.outcome for _, finding in found]
    parts = []
    for outcome, (one, more) in _COUNTED.items():
        count = outcomes.count(outcome)
        if count or outcome is Outcome.PROBLEM:
            parts.append(f"{count or 'no'} {one if count == 1 else more}")
    sentence = ", ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def document(found: Sequence[Found]) -> str:
    """The same for programs."""
    checks = [
        {"name": check.name, "outcome": finding.outcome.value, "seen": finding.seen, "todo": list(finding.todo)}
        for check, finding in found
    ]
    problems = sum(finding.outcome is Outcome.PROBLEM for _, finding in found)
    return json.dumps({"version": __version__, "problems": problems, "checks": checks}, indent=2)


def _lines(check: Check, finding: Finding, *, colour: bool) -> Iterator[str]:
    indent = " " * (FIRST + SECOND)
    head = f"{finding.outcome.value:<{FIRST}}{check.name:<{SECOND}}"
    first, *rest = _wrapped(finding.seen, indent=indent)
    word = f"\x1b[{_COLOURS[finding.outcome]}m{head[:FIRST]}\x1b[0m" if colour else head[:FIRST]
    yield f"{word}{head[FIRST:]}{first.removeprefix(indent)}"
    yield from rest
    for step in finding.todo:
        yield from _wrapped(f"> {step}", indent=indent, further=f"{indent}  ")


def _wrapped(text: str, *, indent: str, further: str = "") -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()) or "-",
        WIDTH,
        initial_indent=indent,
        subsequent_indent=further or indent,
        break_on_hyphens=False,
    )

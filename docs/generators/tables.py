"""Tables in MyST. Knows Markdown only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a cell may hold Markdown of one line."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def code(text: object) -> str:
    """A value as code."""
    words = str(text)
    fence = "``" if "`" in words else "`"
    return f"{fence}{words}{fence}" if words else ""


def codes(values: Iterable[object]) -> str:
    """Several values as code."""
    return ", ".join(code(value) for value in values)

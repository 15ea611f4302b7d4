"""The code blocks of every page, found by their fences. Knows Markdown only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from generators.proofs import ROOT, pages

FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"[$#] ")


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """One block."""

    page: str
    line: int  #: where its fence stands
    kind: str  #: python, console, ini, ...
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The file it belongs in, as its first line says; empty: it says none."""
        first = self.text.partition("\n")[0]
        return first.removeprefix("# ") if first.startswith("# ") and first.endswith(".py") else ""


def snippets(kind: str) -> list[Snippet]:
    """All blocks of one kind."""
    return [snippet for snippet in _all() if snippet.kind == kind]


def commands() -> Iterator[tuple[Snippet, list[str]]]:
    """Every command that a reader is told to type, as words."""
    for snippet in snippets("console"):
        for line in snippet.text.replace("\\\n", " ").splitlines():
            if PROMPT.match(line):
                yield snippet, shlex.split(PROMPT.sub("", line, count=1), comments=False)


def _all() -> Iterator[Snippet]:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            body = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
            line = text.count("\n", 0, found.start()) + 1
            yield Snippet(page=page.relative_to(ROOT).as_posix(), line=line, kind=found["kind"], text=body)

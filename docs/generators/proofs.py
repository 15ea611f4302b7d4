"""The tests that the documentation names as proofs: found by name, with the sentence they check and their code.

Knows test files as text. That every named test exists is checked by tests/unit/docs/test_promises.py too.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ID = re.compile(r"`(tests/[\w/]+\.py(?:::\w+)+)`")  #: as pytest names it, in code marks


class NoSuchTest(Exception):
    """A page names a test that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One test, or a rule of a state machine that a test runs."""

    id: str  #: "tests/hub/test_queue.py::test_no_gpu_means_none_visible"
    says: str  #: the first sentence of its docstring; empty where its name says it
    source: str
    line: int

    @property
    def name(self) -> str:
        """Its own name."""
        return self.id.rpartition("::")[2]

    @property
    def anchor(self) -> str:
        """The label of its code on the page of proofs."""
        return "proof-" + re.sub(r"\W+", "-", self.id.removeprefix("tests/").replace("_", "-")).strip("-").lower()


def named_in(text: str) -> list[str]:
    """The tests that a page names, each once, in its order."""
    return list(dict.fromkeys(ID.findall(text)))


def named() -> dict[str, list[str]]:
    """Every test that a page names, with the pages."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for id in named_in(page.read_text(encoding="utf-8")):
            found.setdefault(id, []).append(page.relative_to(ROOT).as_posix())
    return found


def pages() -> Iterator[Path]:
    """Every page that is written by hand."""
    yield ROOT / "README.md"
    yield ROOT / "CONTRIBUTING.md"
    yield from sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)


def look_up(id: str) -> Proof:
    """Find one test.

    :raises NoSuchTest: the file or the name does not exist.
    """
    file, *names = id.split("::")
    if not (ROOT / file).is_file():
        raise NoSuchTest(f"there is no file {file}")
    text, tree = _parsed(file)
    node: ast.AST = tree
    for name in names:
        found = next((each for each in ast.iter_child_nodes(node) if getattr(each, "name", None) == name), None)
        if found is None:
            raise NoSuchTest(f"{file} has no {'::'.join(names)}")
        node = found
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    start = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    source = "\n".join(text.splitlines()[start - 1 : node.end_lineno])
    says = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
    return Proof(id=id, says=says, source=source, line=start)


def link(text: str) -> str:
    """A page in which each test that it names leads to its code."""
    return ID.sub(lambda found: f"[`{look_up(found[1]).name}`](#{look_up(found[1]).anchor})", text)


def proofs() -> str:
    """The code of every test that a page names, by file."""
    parts: list[str] = []
    file = ""
    for id in sorted(named()):
        proof = look_up(id)
        if not id.startswith(f"{file}::") or not file:
            file = id.partition("::")[0]
            parts.append(f"## `{file}`\n")
        parts.append(f"({proof.anchor})=\n### `{proof.name}`\n")
        if proof.says:
            parts.append(f"{_escaped(proof.says)}\n")
        parts.append(f"````{{code-block}} python\n:lineno-start: {proof.line}\n\n{proof.source}\n````\n")
    return "\n".join(parts)


def _escaped(words: str) -> str:
    return re.sub(r"([<>*_\[\]$])", r"\\\1", words)


@functools.cache
def _parsed(file: str) -> tuple[str, ast.Module]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return text, ast.parse(text)

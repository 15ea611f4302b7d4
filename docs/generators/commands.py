"""The command line, as the program itself prints it.

Knows which sub-commands there are from the program; nothing is started.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

from gpuqueue_spawner import cli
from gpuqueue_spawner.cli.folder import default_folder
from gpuqueue_spawner.service.app import ManagerApp

from .tables import code, table

WIDTH = "96"


def commands() -> str:
    """Every sub-command with its help."""
    parts = [f"```text\n{cli.usage()}\n```\n"]
    for name, (_, sentence) in cli.COMMANDS.items():
        parts.append(f"(command-{name})=\n## `gpuqueue {name}`\n\n{sentence[:1].upper()}{sentence[1:]}.\n")
        parts.append(_manager() if name == "manager" else f"```text\n{help_of(name)}\n```\n")
    return "\n".join(parts)


def help_of(name: str) -> str:
    """What `gpuqueue NAME --help` prints, without the places of the machine that prints it."""
    with _columns(), contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        cli.main([name, "--help"])
    return out.getvalue().strip().replace(str(default_folder()), "see below")


def options_of(name: str) -> set[str]:
    """The options that a sub-command takes, long ones with their dashes."""
    if name == "manager":
        return {f"-{word}" if len(word) == 1 else f"--{word}" for word, _, _ in manager_options()}
    return {word.strip(",[]=") for word in help_of(name).split() if word.startswith("-")}


def manager_options() -> Iterator[tuple[str, str, str]]:
    """Word, setting that it sets, and help."""
    for words, target in ManagerApp.aliases.items():
        setting = target[0] if isinstance(target, tuple) else target
        for word in words if isinstance(words, tuple) else (words,):
            yield word, setting, ""
    for word, (_, sentence) in ManagerApp.flags.items():
        yield str(word), "", sentence
    yield "help", "", "Print a short help. `--help-all` prints every setting."
    yield "help-all", "", "Print every setting."


def _manager() -> str:
    rows = []
    for words, setting in ManagerApp.aliases.items():
        names = words if isinstance(words, tuple) else (words,)
        shown = ", ".join(code(f"-{name}" if len(name) == 1 else f"--{name}") for name in names)
        rows.append((shown, f"Sets `c.{setting}`."))
    rows += [(code(f"--{flag}"), sentence) for flag, (_, sentence) in ManagerApp.flags.items()]
    intro = "Every setting can be given as `--Class.name=value` too. What is given here wins over the file.\n\n"
    return intro + table(("Option", "Effect"), rows)


@contextlib.contextmanager
def _columns() -> Iterator[None]:
    """A fixed width, so that the page does not depend on a terminal."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        yield
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)

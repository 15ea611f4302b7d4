"""The command `gpuqueue`: finds the sub-command and hands over. What each does: the module that it names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from .. import __version__

#: name: (module:function that takes the arguments behind the name, what it does). Imported only when it is called:
#: `gpuqueue demo` needs no manager, and `gpuqueue manager` no Hub.
COMMANDS = {
    "demo": ("gpuqueue_spawner.cli.demo:main", "run JupyterHub with the queue on this machine, to try it"),
    "tour": ("gpuqueue_spawner.cli.tour.command:main", "run the demo with a scripted visitor who tries it"),
    "manager": ("gpuqueue_spawner.cli.manager:main", "run the queue manager of a JupyterHub"),
    "homes": ("gpuqueue_spawner.cli.homes:main", "make people's folders on a share when the Hub asks for them"),
    "upgrade-db": ("gpuqueue_spawner.cli.database:upgrade", "bring the queue's database to this version's schema"),
    "doctor": ("gpuqueue_spawner.cli.doctor.command:main", "look at a deployment, say what is wrong and what to do"),
    "backup": ("gpuqueue_spawner.cli.database:backup", "write a consistent copy of a running SQLite queue"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments else "--help"
    if name == "--version":
        print(__version__)
        return 0
    if name in ("--help", "-h"):
        print(usage())
        return 0
    if name not in COMMANDS:
        print(f"gpuqueue: there is no command {name!r}\n\n{usage()}", file=sys.stderr)
        return 2
    return command(name)(arguments) or 0


def command(name: str) -> Callable[[list[str]], int | None]:
    """The function behind a name."""
    module, _, function = COMMANDS[name][0].partition(":")
    found: Callable[[list[str]], int | None] = getattr(importlib.import_module(module), function)
    return found


def usage() -> str:
    """What there is."""
    lines = [f"  {name:<12}{sentence}" for name, (_, sentence) in COMMANDS.items()]
    return "\n".join(["usage: gpuqueue COMMAND [...], gpuqueue COMMAND --help, gpuqueue --version", "", *lines])

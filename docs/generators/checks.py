"""What `gpuqueue doctor` looks at, as the program itself lists it."""

from __future__ import annotations

from itertools import groupby

from gpuqueue_spawner.cli.doctor.command import CHECKS

from .tables import code, table


def checks() -> str:
    """A table for each place where checks are made, in their order."""
    parts = []
    for place, group in groupby(sorted(CHECKS, key=lambda each: list(type(each.place)).index(each.place)), _place):
        rows = ((code(each.name), each.asks) for each in group)
        parts.append(f"**{place[:1].upper()}{place[1:]}**\n\n{table(('Check', 'In order when'), rows)}")
    return "\n".join(parts)


def _place(check: object) -> str:
    return str(check.place.value)  # type: ignore[attr-defined]

"""What `gpuqueue doctor` looks at, as the program itself lists it."""

from __future__ import annotations

from gpuqueue_spawner.cli.doctor.command import CHECKS
from gpuqueue_spawner.cli.doctor.findings import Place

from .tables import code, table


def checks() -> str:
    """A table for each place where checks are made, in their order."""
    parts = []
    for place in Place:
        rows = [(code(each.name), each.asks) for each in CHECKS if each.place is place]
        heading = f"{place.value[:1].upper()}{place.value[1:]}"
        parts.append(f"**{heading}**\n\n{table(('Check', 'In order when'), rows)}")
    return "\n".join(parts)

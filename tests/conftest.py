"""What holds for every tier."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

#: Files that begin first, the longest before the others, so that nobody waits for one of them alone at the end.
LONG = {
    "store": ("take_overs",),
    "cluster": (
        *("kills", "hub_alone", "claims", "evictions", "nodes", "chart", "managers", "folders"),
        *("queue", "homes", "campus", "guides", "reflecting", "size"),
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; what else there is keeps its order."""
    order = {f"{tier}/test_{name}": number for tier, names in LONG.items() for number, name in enumerate(names)}
    items.sort(key=lambda item: order.get(f"{item.path.parent.name}/{item.path.stem}", len(order)))

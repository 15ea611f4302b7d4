"""What holds for every tier."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

#: Files that begin first, so that nobody waits for one of them alone at the end.
LONG = ("test_kills", "test_chart", "test_managers", "test_take_overs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; what else there is keeps its order."""
    items.sort(key=lambda item: item.path.stem not in LONG)

"""A world for each test, and a manager that leads in it. A module with another machine or office has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuqueue_spawner.manager.run import Office

from .world import Machine, World


@pytest.fixture
def machine() -> Machine:
    """What jobs run on."""
    return Machine(instance="0123456789abcdef")


@pytest.fixture
def world(tmp_path: Path, machine: Machine) -> Iterator[World]:
    """Everything around the managers."""
    it = World(tmp_path, machine=machine)
    yield it
    it.close()


@pytest.fixture
def office(world: World) -> Office:
    """A manager that leads."""
    it = world.office()
    world.lead(it)
    return it

"""A fake manager, and Hubs that end with their test."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from .fake_manager import SECRET, FakeManager
from .hubs import Hub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def manager() -> AsyncIterator[FakeManager]:
    """A manager that listens."""
    fake = FakeManager()
    await fake.open()
    yield fake
    await fake.close()


@pytest.fixture(scope="module")
def homes() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="homes-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory, homes: Path, manager: FakeManager) -> AsyncIterator[Hub]:
    """One Hub for all tests of a module, each with users of its own."""
    folder = tmp_path_factory.mktemp("hub")
    secret = folder / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    hub = Hub(folder=folder, manager_url=manager.url, homes=homes)
    await hub.start()
    yield hub
    await hub.kill()
    for claim in manager.claims:  # each notebook leads a session of its own
        try:
            os.killpg(claim["pid"], signal.SIGKILL)
        except ProcessLookupError:
            continue

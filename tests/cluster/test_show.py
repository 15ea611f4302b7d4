"""`make cluster`: something to click on, which leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.services.kubernetes.namespaces import TREE, own_python
from tests.services.program import free_port, until

pytestmark = pytest.mark.usefixtures("own_cluster")  # what builds and runs a cluster is there

UP_S = 400
DOWN_S = 120


def test_a_developer_gets_a_hub_in_a_cluster_until_ctrl_c(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as output:
        show = subprocess.Popen(
            [sys.executable, "-m", "tests.services.kubernetes.show", f"--port={port}"],
            stdout=output,
            stderr=output,
            cwd=TREE,
            env={**os.environ, **own_python()},
        )
    try:
        until(
            lambda: show.poll() is not None or "Ctrl-C" in log.read_text(),
            within=UP_S,
            what="the cluster is shown",
            story=log.read_text,
        )
        assert f"http://127.0.0.1:{port}\n" in log.read_text()
        page = requests.get(f"http://127.0.0.1:{port}/", timeout=30)
        assert page.ok
        assert "/hub/login" in page.url

        show.send_signal(signal.SIGINT)

        assert show.wait(DOWN_S) == 0, log.read_text()
    finally:
        show.kill()
        show.wait()

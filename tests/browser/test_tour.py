"""`make demo TOUR=1`, whole: real clicks, a real JupyterLab, and pictures of each step."""

from __future__ import annotations

import re
from pathlib import Path

from tests.services.demo import take_tour


def test_the_tour_holds_and_leaves_pictures(tmp_path: Path) -> None:
    """Exit status 0 only if every step held and no process is left."""
    status, said, left = take_tour("--gpus", "4", "--shots", str(tmp_path / "shots"))

    assert "in headless Chromium" in said
    assert status == 0, said
    assert len(re.findall(r"^tour +\d\. .* \(\d+ s\)$", said, re.M)) == 7
    assert "every step held, and no process is left" in said
    assert {"waiting", "hub-away", "cell", "admin"} <= {
        picture.stem.partition("-")[2] for picture in (tmp_path / "shots").glob("*.png")
    }
    assert left == []

"""Every test that a page names exists, and no promise stands without one."""

from __future__ import annotations

import re

import pytest
from generators.proofs import DOCS, ID, NoSuchTest, link, look_up, named, proofs

PROMISES = (DOCS / "explanation" / "promises.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("id", sorted(named()))
def test_a_test_that_is_named_exists(id: str) -> None:
    assert look_up(id).source


def test_a_test_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(NoSuchTest):
        look_up("tests/hub/test_queue.py::test_nothing")
    with pytest.raises(NoSuchTest):
        look_up("tests/hub/nothing.py::test_nothing")


def test_every_promise_has_a_proof() -> None:
    """A paragraph in bold is a promise; a list of tests comes before the next one."""
    parts = re.split(r"^(?=\*\*)", PROMISES, flags=re.MULTILINE)[1:]

    without = [part.splitlines()[0] for part in parts if not ID.search(part)]

    assert len(parts) > 20
    assert not without


def test_every_name_leads_to_the_code() -> None:
    page, code = link(PROMISES), proofs()

    anchors = re.findall(r"\]\(#(proof-[\w-]+)\)", page)

    assert len(anchors) == len(ID.findall(PROMISES))
    assert all(f"({anchor})=" in code for anchor in anchors)


def test_what_is_called_real_starts_real_programs() -> None:
    """ "Real" stands only behind tests of the tiers that start them, or of real processes and databases."""
    real = re.findall(r"`(tests/[\w/]+)\.py::[\w:]+` \(real\)", PROMISES)

    assert {name.split("/")[1] for name in real} <= {"hub", "browser", "store", "cluster", "unit"}
    assert {name for name in real if name.startswith("tests/unit")} <= {
        "tests/unit/capacity/test_processes",
        "tests/unit/capacity/test_ending",
        "tests/unit/spawner/test_wrapper",
    }

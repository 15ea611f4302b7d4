"""Which versions have known holes."""

from __future__ import annotations

import pytest

from gpuqueue_spawner.cli.doctor.machine import holes
from gpuqueue_spawner.cli.doctor.versions import driver_hole, driver_of, toolkit_hole


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("1.16.1", "CVE-2024-0132"),
        ("1.17.3", "CVE-2025-23359"),
        ("1.17.7", "CVE-2025-23266"),
        ("v1.17.7-rc.1", "CVE-2025-23266"),
        ("1.17.8", "CVE-2026-24260"),
        ("1.19.0", "CVE-2026-24260"),
    ],
)
def test_a_toolkit_is_told_its_worst_hole(version: str, known: str) -> None:
    hole = toolkit_hole(version)

    assert hole is not None
    assert (hole.known, hole.mended) == (known, "1.19.1")


@pytest.mark.parametrize("version", ["1.19.1", "1.20.0", "2.0", "", "nonsense"])
def test_nothing_is_claimed_of_a_mended_or_unreadable_toolkit(version: str) -> None:
    assert toolkit_hole(version) is None


@pytest.mark.parametrize(
    ("version", "mended"),
    [("580.95.05", "580.178.04"), ("535.274.02", "535.309.01"), ("595.71.05", "595.91.07"), ("470.256.02", "")],
)
def test_a_driver_with_a_hole_is_told_where_its_branch_is_mended(version: str, mended: str) -> None:
    """A branch that is mended no more counts as open."""
    hole = driver_hole(version)

    assert hole is not None
    assert hole.mended == mended


@pytest.mark.parametrize("version", ["580.178.04", "580.200.01", "615.71.09", "700.10.01", "580", "580.95", ""])
def test_nothing_is_claimed_of_a_mended_newer_or_half_known_driver(version: str) -> None:
    assert driver_hole(version) is None


@pytest.mark.parametrize(
    ("labels", "version"),
    [
        ({"nvidia.com/cuda.driver-version.full": "580.95.05"}, "580.95.05"),
        (
            {
                "nvidia.com/cuda.driver.major": "535",
                "nvidia.com/cuda.driver.minor": "104",
                "nvidia.com/cuda.driver.rev": "05",
            },
            "535.104.05",
        ),
        ({"nvidia.com/gpu.product": "A100"}, ""),
    ],
)
def test_a_node_s_labels_tell_its_driver(labels: dict[str, str], version: str) -> None:
    """Those of both generations of GPU feature discovery."""
    assert driver_of(labels) == version


def test_a_hole_is_a_problem_with_the_version_to_install() -> None:
    present = {"driver": "580.178.04", "container toolkit": "1.17.7"}
    found = holes({"the driver": driver_hole("580.178.04"), "the toolkit": toolkit_hole("1.17.7")}, present)
    well = holes({"the driver": None}, {"driver": "580.178.04"})

    assert (found.outcome.value, found.todo) == ("problem", ("Install 1.19.1 or newer.",))
    assert "CVE-2025-23266" in found.seen
    assert (well.outcome.value, well.seen) == ("ok", "Nothing is known against driver 580.178.04.")

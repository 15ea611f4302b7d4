"""Versions of NVIDIA's driver and container toolkit with holes that let a notebook out of its bounds. Pure.

By NVIDIA's bulletins as of 2026-09-30, each with the first version that is mended:

- toolkit 1.16.2, CVE-2024-0132 (9.0): a crafted image reaches the host's files;
- toolkit 1.17.4, CVE-2025-23359 (8.3): the same by another way;
- toolkit 1.17.8, CVE-2025-23266 (9.0): an image runs code as root on the host, by three lines of its Dockerfile;
- toolkit 1.19.1, CVE-2026-24260 (8.5), bulletin 5850;
- driver 580.178.04, 595.91.07, 610.57.04, 615.71.09, CVE-2026-47501 and more (7.8), bulletin 5861: a user of the
  machine writes outside of bounds in the kernel; 535.309.01, CVE-2025-33221, bulletin 5821, is the last mended one of
  R535.

A branch of the driver that no bulletin mends any more counts as open. Bulletins: github.com/NVIDIA/product-security.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

Numbers = tuple[int, ...]

TOOLKIT: tuple[tuple[Numbers, str], ...] = (  # the worst first: one is enough to be told
    ((1, 16, 2), "CVE-2024-0132"),
    ((1, 17, 4), "CVE-2025-23359"),
    ((1, 17, 8), "CVE-2025-23266"),
    ((1, 19, 1), "CVE-2026-24260"),
)
DRIVERS: Mapping[int, tuple[Numbers, str]] = {
    535: ((535, 309, 1), "CVE-2025-33221"),
    580: ((580, 178, 4), "CVE-2026-47501"),
    595: ((595, 91, 7), "CVE-2026-47501"),
    610: ((610, 57, 4), "CVE-2026-47501"),
    615: ((615, 71, 9), "CVE-2026-47501"),
}
_FULL = "nvidia.com/cuda.driver-version.full"  # labels of NVIDIA's GPU feature discovery, from its version 0.16 on
_PARTS = tuple(f"nvidia.com/cuda.driver.{part}" for part in ("major", "minor", "rev"))  # and before


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A version that should not be there."""

    version: str
    known: str  #: CVE, or what else is wrong with it
    mended: str  #: the first version without it; empty: none of its branch


def numbers(version: str) -> Numbers:
    """What can be compared: "580.95.05" and "v1.17.8-rc.1" are numbers with something behind them."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def toolkit_hole(version: str) -> Hole | None:
    """What is known of a container toolkit; None: nothing."""
    for mended, known in TOOLKIT:
        if numbers(version) and numbers(version) < mended:
            return Hole(version=version, known=known, mended=_words(TOOLKIT[-1][0]))
    return None


def driver_hole(version: str) -> Hole | None:
    """What is known of a driver; None: nothing, or it is newer than this list."""
    it = numbers(version)
    if not it or it[0] > max(DRIVERS):
        return None
    if it[0] not in DRIVERS:
        return Hole(version=version, known="branch without security updates", mended="")
    mended, known = DRIVERS[it[0]]
    if len(it) < 3 or it >= mended:
        return None  # a label without all its parts tells too little
    return Hole(version=version, known=known, mended=_words(mended, wide=True))


def driver_of(labels: Mapping[str, str]) -> str:
    """The driver's version, by a node's labels; empty: they do not say."""
    return labels.get(_FULL, "") or ".".join(labels[part] for part in _PARTS if part in labels)


def _words(version: Numbers, *, wide: bool = False) -> str:
    last = f"{version[-1]:02d}" if wide else str(version[-1])
    return ".".join([*map(str, version[:-1]), last])

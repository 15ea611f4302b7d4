"""Print one plain line for several tiers' reports, "N passed, N failed"; a tier without a report has failed."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path("build/tests")


def tally(tiers: list[str]) -> tuple[int, int, int]:
    """Passed, failed and skipped over all tiers."""
    passed = failed = skipped = 0
    for tier in tiers:
        report = REPORTS / f"{tier}.xml"
        if not report.exists():
            failed += 1
            continue
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314  # pytest's own report
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            left_out = int(suite.get("skipped", 0))
            passed += int(suite.get("tests", 0)) - bad - left_out
            failed += bad
            skipped += left_out
    return passed, failed, skipped


if __name__ == "__main__":
    passed, failed, skipped = tally(sys.argv[1:])
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))

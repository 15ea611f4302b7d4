"""Put the tiers' reports together and print one plain line, "N passed, N failed"; a tier without a report has failed.

`tally.py TIER...` prints it. `tally.py --again TIER` only answers, by its exit status, whether the failures of a tier
may be tried once more: not those of a promise (tests/services/promises.py), nor so many that something is broken. A
site that did not come up counts once, however many tests wanted it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

REPORTS = Path("build/tests")
MOST = 5  # tests of a tier that may have had bad luck
PROMISE = "PromiseBroken"


@dataclass(frozen=True, kw_only=True)
class Test:
    """What a report says of one test."""

    module: str
    name: str
    outcome: str  # "passed", "failed" or "skipped"
    set_up: bool  # whether it failed before it began
    words: str


def tests(report: Path) -> Iterator[Test]:
    """Every test of a pytest report."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314  # pytest's own report
        bad = [each for each in case if each.tag in ("failure", "error")]
        skipped = case.find("skipped") is not None
        yield Test(
            module=case.get("classname", ""),
            name=f"{case.get('classname', '')}::{case.get('name', '')}",
            outcome="failed" if bad else "skipped" if skipped else "passed",
            set_up=any(each.tag == "error" for each in bad),
            words="\n".join(f"{each.get('message', '')}\n{each.text or ''}" for each in bad),
        )


def worth_another_run(report: Path) -> bool:
    """Whether what failed may have been the machine's: few tests, and none of them a broken promise."""
    failed = [test for test in tests(report) if test.outcome == "failed"] if report.exists() else []
    what = {test.module if test.set_up else test.name for test in failed}
    return 0 < len(what) <= MOST and not any(PROMISE in test.words for test in failed)


def merged(tier: str) -> tuple[dict[str, str], list[str]]:
    """Outcome by test, and which tests passed in the second run only. A test may stand in a report twice."""
    outcomes: dict[str, str] = {}
    for test in tests(REPORTS / f"{tier}.xml"):
        outcomes[test.name] = "failed" if outcomes.get(test.name) == "failed" else test.outcome
    second = REPORTS / f"{tier}-again.xml"
    again = {test.name: test.outcome for test in tests(second)} if second.exists() else {}
    late = [name for name, outcome in outcomes.items() if outcome == "failed" and again.get(name) == "passed"]
    return outcomes | dict.fromkeys(late, "passed"), late


def main(arguments: list[str]) -> int:
    """See the module."""
    if arguments[0] == "--again":
        return 0 if worth_another_run(REPORTS / f"{arguments[1]}.xml") else 1
    count = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for tier in arguments:
        if not (REPORTS / f"{tier}.xml").exists():
            count["failed"] += 1
            continue
        outcomes, late = merged(tier)
        for outcome in outcomes.values():
            count[outcome] += 1
        for name in late:
            print(f"failed first, passed when run again alone: {name}")
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

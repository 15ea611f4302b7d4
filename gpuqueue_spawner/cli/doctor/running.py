"""Runs checks one after the other, each within its limit; none stops the others.

Knows threads and time. A check that hangs keeps its thread, which ends with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from .deployment import Deployment
from .findings import Check, Finding, NotChecked, Outcome, not_checked, problem

#: what the caller shows of a check that is about to run
Told = Callable[[Check], object]


def run(
    checks: Iterable[Check], deployment: Deployment, *, tell: Told = lambda check: None
) -> Iterator[tuple[Check, Finding]]:
    """Every check that this deployment calls for, and what it found, in the order given."""
    found: dict[str, Finding] = {}
    for check in checks:
        if check.place not in deployment.places:
            continue
        tell(check)
        found[check.name] = unmet(check, found) or within_limit(check, deployment)
        yield check, found[check.name]


def unmet(check: Check, found: Mapping[str, Finding]) -> Finding | None:
    """Why a check is left out after what was found before; None: it is not."""
    lacking = [name for name in check.needs if name in found and not found[name].well]
    unknown = [found[name] for name in lacking if found[name].outcome is Outcome.NOT_CHECKED]
    if unknown:
        return unknown[0]  # for the same reason
    return not_checked(f"{' and '.join(lacking)} must be in order first") if lacking else None


def within_limit(check: Check, deployment: Deployment) -> Finding:
    """What a check finds, or that it did not come back."""
    answers: list[Finding] = []

    def look() -> None:
        try:
            answers.append(check.look(deployment))
        except NotChecked as error:
            answers.append(not_checked(str(error)))
        except Exception as error:  # a fault of the check's own must not hide what the others see
            answers.append(
                problem(f"The check itself failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
            )

    thread = threading.Thread(target=look, name=f"check {check.name}", daemon=True)
    thread.start()
    thread.join(check.limit)
    if answers:
        return answers[0]
    return problem(f"No answer within {check.limit:g} s.", "Find out what it waits for: disk, network or driver.")

"""Checks of the manager that runs, by what it tells everybody. Knows its health."""

from __future__ import annotations

from typing import Any

from ... import __version__
from .deployment import Deployment
from .findings import Check, Finding, NotChecked, ok, problem, warning
from .web import NoAnswer, ask


def answers(it: Deployment) -> Finding:
    """Whether it runs and leads, and what troubles it."""
    url = it.manager_url
    if not url:
        raise NotChecked("no file says where the manager is")
    try:
        answer = ask(f"{url}{it.manager_prefix}health")
    except NoAnswer as error:
        return problem(
            f"No manager answers at {url}: {error}.",
            "Start it with `gpuqueue manager -f FILE`; its last lines say why it ended.",
        )
    if not _is_health(answer.document):
        return problem(
            f"What answers at {url}{it.manager_prefix} is no queue manager (status {answer.status}).",
            "Another program has the port, or the prefix is another one.",
        )
    said = answer.document["problem"]
    if said:
        return problem(
            f"The manager answers at {url}, and says: {said}", "See the page Troubleshooting, Nobody starts."
        )
    if not answer.document["leading"]:
        return warning(
            f"The manager at {url} stands by: another one leads, or one has just ended.",
            "Fine where there are two; else ask again in 20 seconds.",
        )
    return ok(f"The manager answers at {url} and leads.")


def version(it: Deployment) -> Finding:
    """Against ours."""
    try:
        document = ask(f"{it.manager_url}{it.manager_prefix}health").document
    except NoAnswer:
        raise NotChecked("the manager does not answer") from None
    if not _is_health(document):
        raise NotChecked("what answers is no queue manager")
    theirs = document.get("version")
    if theirs == __version__:
        return ok(f"The manager is of version {theirs}, like this command.")
    return problem(
        f"The manager is of version {theirs or 'unknown'}, this command of {__version__}.",
        "Install one version for Hub and manager, restart both, and run `gpuqueue doctor` from there.",
    )


def _is_health(document: Any) -> bool:
    return isinstance(document, dict) and {"leading", "problem"} <= document.keys()


CHECKS = (
    Check(
        name="manager.answers",
        asks="The manager answers, leads, and nothing is away for it.",
        look=answers,
        limit=75.0,
    ),
    Check(
        name="manager.version",
        asks="The manager that runs is of the version of this command.",
        look=version,
    ),
)

"""Checks of the Hub that runs, by its REST API. Knows its paths and scopes, 5.5 and 6."""

from __future__ import annotations

import re
from collections.abc import Collection

from .clocks import compared, of_header
from .deployment import Deployment
from .findings import Check, Finding, ok, problem, warning
from .web import NoAnswer, ask

OLDEST, TOO_NEW = (5, 5), (7,)
SEES = frozenset({"list:users", "read:users:groups", "read:servers", "delete:servers"})
#: beyond what the queue needs; a manager that is broken into would have them
TOO_MUCH = frozenset({"tokens", "proxy", "shutdown", "users", "groups", "inherit"})
TOO_MUCH_STARTS = ("admin:", "admin-", "custom:")


def answers(it: Deployment) -> Finding:
    """Whether it runs, and which version."""
    url = it.app.hub_api_url.rstrip("/")
    try:
        answer = ask(f"{url}/")
    except NoAnswer as error:
        return problem(f"No Hub answers at {url}: {error}.", "Start the Hub, or mend c.ManagerApp.hub_api_url.")
    version = answer.document.get("version") if isinstance(answer.document, dict) else None
    if not isinstance(version, str):
        return problem(
            f"What answers at {url} is no Hub's API (status {answer.status}).",
            "Set c.ManagerApp.hub_api_url to the Hub's own address, as in http://127.0.0.1:8081/hub/api.",
        )
    numbers = version_numbers(version)
    if not OLDEST <= numbers < TOO_NEW:
        return problem(f"JupyterHub {version} runs; possible is 5.5 to 6.", "Install a version that is.")
    return ok(f"JupyterHub {version} answers at {url}.")


def token(it: Deployment) -> Finding:
    """What the manager may do there."""
    answer = ask(f"{it.app.hub_api_url.rstrip('/')}/user", token=it.hub_token)
    who = answer.document if isinstance(answer.document, dict) else {}
    if answer.status in (401, 403):
        return problem(
            "The Hub does not know the manager's token: the service is not registered with this one.",
            "Call configure() with this service_token in jupyterhub_config.py, and restart the Hub.",
        )
    if answer.status != 200:
        return problem(f"The Hub answers {answer.status} to the manager's token.", "The Hub's log says why.")
    if who.get("kind") != "service" or who.get("name") != it.app.service_name:
        return problem(
            f"The token belongs to the {who.get('kind')} {who.get('name')!r}, not to the service "
            f"{it.app.service_name!r}.",
            "Give the manager the token of its own service.",
        )
    return judged_scopes(who.get("scopes") or (), service=it.app.service_name)


def judged_scopes(scopes: Collection[str], *, service: str) -> Finding:
    """Whether they are enough for the queue, and not more."""
    starts = {"start:servers", "servers"}
    lacking = sorted(SEES - {*scopes})
    if not starts & {*scopes}:
        lacking.append("start:servers (servers on JupyterHub 5.5)")
    if lacking:
        return problem(
            f"The service {service!r} lacks rights: {', '.join(lacking)}.",
            "Let configure() add its role, and restart the Hub; a role of the site's own must have them too.",
        )
    more = sorted(each for each in scopes if each.split("!")[0] in TOO_MUCH or each.startswith(TOO_MUCH_STARTS))
    if more:
        return warning(
            f"The service {service!r} has rights that it does not need: {', '.join(more)}.",
            "Take them out of its roles.",
        )
    return ok("The Hub knows the service, which has the rights that it needs and no more.")


def clock(it: Deployment) -> Finding:
    """Against ours."""
    answer = ask(f"{it.app.hub_api_url.rstrip('/')}/")
    return compared("The Hub's", of_header(answer.date), asked=answer.asked, answered=answer.answered)


def version_numbers(version: str) -> tuple[int, ...]:
    """What can be compared of a version."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


CHECKS = (
    Check(
        name="hub.answers",
        asks="The Hub answers where the manager looks for it, in a version that works with the queue.",
        look=answers,
        needs=("manager.settings",),
    ),
    Check(
        name="hub.token",
        asks="The Hub knows the service by the manager's token, and it has the rights it needs and no more.",
        look=token,
        needs=("manager.settings", "manager.secrets", "hub.answers"),
    ),
    Check(name="hub.clock", asks="The Hub's clock agrees with this machine's.", look=clock, needs=("hub.answers",)),
)

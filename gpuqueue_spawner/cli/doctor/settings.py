"""Checks of the two sides' files: that they are taken, and that they agree.

Knows what Hub and manager must share. What works against a waiting start: spawner/advice.py.
"""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

from traitlets import TraitError

from ...service.secret import read_private
from ...service.tokens import TOKEN
from .deployment import Deployment, Unreadable
from .findings import Check, Finding, NotChecked, ok, problem, warning
from .hub_reader import digest

SECRET_BYTES = 32


def manager_settings(it: Deployment) -> Finding:
    """The manager's file."""
    try:
        capacity = it.capacity
        it.policy  # noqa: B018  # made for what it refuses
    except (Unreadable, TraitError) as error:
        return problem(f"The manager would not start: {error}.", f"Mend {it.asked.config}.")
    return ok(f"{it.asked.config} is taken; jobs run by {type(capacity).__name__}.")


def manager_secrets(it: Deployment) -> Finding:
    """The files that only the manager and the Hub may read."""
    try:
        token = it.hub_token
        if not token:
            return problem(
                "The manager has no API token of the Hub.",
                "Set c.ManagerApp.hub_token_file to a file that holds the service_token of configure(), mode 0600.",
            )
        if not TOKEN.fullmatch(token):
            return problem(f"{it.app.hub_token_file} holds no token; allowed is one line without spaces.")
        missing = []
        for path in (it.app.spawner_secret_file, it.app.cookie_secret_file):
            if not Path(path).exists():
                missing.append(path)
            elif len(read_private(Path(path))) < SECRET_BYTES:
                return problem(f"{path} holds a secret that is too short; allowed is {SECRET_BYTES} bytes or more.")
    except OSError as error:
        return problem(f"{error.filename} cannot be read: {error.strerror}.", "Make it, or run this as its owner.")
    except ValueError as error:
        return problem(f"{error}.", "chmod 600 it.")
    if missing:
        return warning(f"{' and '.join(missing)}: not made yet.", "The manager makes it when it starts first.")
    return ok("Token and secrets are there, for their owner's eyes only.")


def hub_file(it: Deployment) -> Finding:
    """Whether the Hub would start with its file, and ask the queue."""
    try:
        hub = it.hub
    except Unreadable as error:
        return problem(f"The Hub would not start: {error}.", f"Mend {it.asked.hub_config}.")
    if not hub["queueing"]:
        return problem(
            f"The Hub starts notebooks by {hub['spawner']}, which asks no queue.",
            'Set c.JupyterHub.spawner_class to "gpuqueue-local" or "gpuqueue-kube".',
        )
    return ok(f"{it.asked.hub_config} is taken by JupyterHub {hub['version']}, and its spawner asks the queue.")


def hub_settings(it: Deployment) -> Finding:
    """The Hub's file against a start that waits for hours."""
    advice = it.hub["advice"]
    if advice:
        words = "One setting of the Hub works" if len(advice) == 1 else f"{len(advice)} settings of the Hub work"
        return problem(f"{words} against the queue.", *advice)
    return ok("The Hub lets a start wait for as long as it takes.")


def agreement(it: Deployment) -> Finding:
    """What both files must say alike."""
    hub, todo = it.hub, []
    token = digest(it.hub_token.encode())
    if hub["service_token"] and token and hub["service_token"] != token:
        todo.append("Give configure() as service_token what the manager's hub_token_file holds.")
    ours = _digest_of(it.app.spawner_secret_file)
    if hub["secret"] and ours and hub["secret"] != ours:
        todo.append(f"Let both read one secret: the Hub reads {hub['secret_file']}, the manager another one.")
    elif not hub["secret"] and ours:
        todo.append(f"Let the Hub read the secret {it.app.spawner_secret_file}; it looks at {hub['secret_file']!r}.")
    port = urlsplit(hub["manager_url"]).port
    if port is not None and port != it.app.port and _here(hub["manager_url"]):
        todo.append(f"The Hub asks the manager at {hub['manager_url']}, which listens on port {it.app.port}.")
    if todo:
        return problem("Hub and manager do not agree.", *todo)
    return ok("Hub and manager show each other the same token and secret.")


def _here(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _digest_of(path: str) -> str:
    try:
        return digest(read_private(Path(path)))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise NotChecked(str(error)) from None


def homes(it: Deployment) -> Finding:
    """The folders of people on this machine."""
    named = it.hub["homes"]
    if not named:
        raise NotChecked("the Hub's spawner keeps no folders on this machine")
    path = Path(named)
    if path.exists() and not path.is_dir():
        return problem(f"{path} is no folder.", "Set c.GPUQueueLocalSpawner.homes to a folder.")
    closed = [each for each in (path, *path.parents) if each.exists() and not each.stat().st_mode & stat.S_IXOTH]
    if closed:
        return problem(
            f"Nobody but its owner may enter {closed[0]}, so no notebook can enter its own folder below it.",
            f"chmod o+x {closed[0]}",
        )
    if not path.exists():
        return warning(f"{path} is not there yet.", "The Hub makes it at the first start; make it now to be sure.")
    return ok(f"{path} can be entered by every notebook.")


CHECKS = (
    Check(
        name="manager.settings",
        asks="The manager's file is read, and every setting in it is known and allowed.",
        look=manager_settings,
    ),
    Check(
        name="manager.secrets",
        asks="The manager's token and secrets are there, long enough, and nobody else may read them.",
        look=manager_secrets,
        needs=("manager.settings",),
    ),
    Check(
        name="hub.file",
        asks="The Hub's file is read, and its spawner asks the queue.",
        look=hub_file,
        limit=75.0,
    ),
    Check(
        name="hub.settings",
        asks="No setting of the Hub works against a start that waits for hours, and the service is registered.",
        look=hub_settings,
        needs=("hub.file",),
    ),
    Check(
        name="hub.agreement",
        asks="Both files name the same token, secret and port.",
        look=agreement,
        needs=("manager.settings", "manager.secrets", "hub.file"),
    ),
)

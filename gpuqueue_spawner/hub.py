"""What a jupyterhub_config.py needs for the queue: one call, `configure(c)`.

Knows JupyterHub's configuration, 5.5 and 6. What each setting does to a waiting spawn: spawner/advice.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupyterhub
import traitlets.log
from traitlets.config.loader import LazyConfigValue

from .spawner.advice import advise_once
from .spawner.client import QueueClient
from .spawner.form import TEMPLATES
from .spawner.openjobs import open_jobs
from .spawner.unsent import FILE

PAGES = (str(TEMPLATES), str(Path(__file__).parent / "service" / "static"))  #: pages, and what they include

SERVICE = "gpuqueue"
ACCESS = f"access:services!service={SERVICE}"
START_TIMEOUT_S = 315_360_000  #: ten years: outlasts any wait; 0 would fail at once
HTTP_TIMEOUT_S = 120  #: a notebook has already answered when this begins
CUSTOM_SCOPES = {
    "custom:gpuqueue:read": {"description": "See the whole queue, with everybody's names."},
    "custom:gpuqueue:operate": {
        "description": "Hold, release, cancel and stop everybody's jobs.",
        "subscopes": ["custom:gpuqueue:read"],
    },
    "custom:gpuqueue:admin": {
        "description": "Everything an operator may, and drain nodes and end all jobs of a user.",
        "subscopes": ["custom:gpuqueue:operate"],
    },
}


def configure(
    c: Any,
    *,
    manager_url: str = "http://127.0.0.1:8083",
    service_token: str,
    spawner_secret_file: str | Path,
    admins: Iterable[str] = (),
    admin_groups: Iterable[str] = (),
    operators: Iterable[str] = (),
    operator_groups: Iterable[str] = (),
    readers: Iterable[str] = (),
    reader_groups: Iterable[str] = (),
    named_servers: int = 0,
    service_url: str | None = None,
    unsent_file: str | Path = FILE,
    spawner_class: Any = "gpuqueue_spawner.spawner.GPUQueueLocalSpawner",
) -> None:
    """Set up a Hub for the queue. Adds to the site's services, roles, template paths and tornado settings.

    Call it at the end of jupyterhub_config.py: what is assigned to one of these lists afterwards replaces them.

    :param manager_url: address of the queue manager as this Hub reaches it, not through the proxy.
    :param service_token: the manager's Hub API token; the manager is told the same one.
    :param spawner_secret_file: file with the secret that spawners show to the manager, mode 0600.
    :param admins: names with `custom:gpuqueue:admin`; being a Hub admin gives no right in the queue by itself.
    :param admin_groups: Hub groups with it; a group that does not exist is made.
    :param operators: names with `custom:gpuqueue:operate`, `operator_groups` likewise.
    :param readers: names with `custom:gpuqueue:read`, `reader_groups` likewise.
    :param named_servers: how many named servers each user may have; needs a `username_pattern` without `-`.
    :param service_url: address of the manager as the proxy reaches it, where that differs from `manager_url`.
    :param unsent_file: where this Hub keeps what the queue could not be told while it did not answer.
    :param spawner_class: used where the site has not set `c.JupyterHub.spawner_class`.
    """
    hub = c.JupyterHub
    _add_service(hub, url=service_url or manager_url, token=service_token)
    _add_scopes(hub)
    _add_role(hub, "gpuqueue-service", _service_scopes(), services=[SERVICE])
    _let_users_in(hub)
    for name, users, groups in (
        ("read", readers, reader_groups),
        ("operate", operators, operator_groups),
        ("admin", admins, admin_groups),
    ):
        scopes = [f"custom:gpuqueue:{name}", ACCESS]
        _add_role(hub, f"gpuqueue-{name}", scopes, users=sorted({*users}), groups=sorted({*groups}))
    _add_templates(hub)
    _let_spawns_wait(c)
    _name_servers(c, limit=named_servers)
    c.QueueingMixin.manager_url = manager_url
    secret_file = str(Path(spawner_secret_file).resolve())
    c.QueueingMixin.spawner_secret_file = secret_file
    unsent = str(Path(unsent_file).absolute())
    c.QueueingMixin.unsent_file = unsent
    asked = open_jobs(manager_url, secret_file, unsent)
    _update(hub, "template_vars", {"gpuqueue_open_job": lambda user: asked})  # the Hub calls what it finds there
    if _unset(hub, "spawner_class"):
        hub.spawner_class = spawner_class
    _connect(manager_url, secret_file, unsent)


def _add_service(hub: Any, *, url: str, token: str) -> None:
    service: dict[str, Any] = {
        "name": SERVICE,
        "url": url,
        "api_token": token,
        "display": False,  # our page.html links it from the navigation
        "oauth_no_confirm": True,  # part of this Hub: nobody should have to grant it anything
        # What its pages may do on behalf of whoever reads them; nobody gets more than they have.
        "oauth_client_allowed_scopes": ["servers!user", *CUSTOM_SCOPES],
    }
    if jupyterhub.version_info >= (6,):
        service["timeout"] = 1  # Hub 6 would else wait 30 s at start for a manager that is away; 5.5 refuses the key
    _append(hub, "services", service)


def _service_scopes() -> list[str]:
    """What the manager's reconciliation needs: see who has which server and who left, start what was lost, stop."""
    if jupyterhub.version_info >= (6,):
        return ["list:users", "read:users:groups", "read:servers", "start:servers", "delete:servers"]
    return ["list:users", "read:users:groups", "servers"]  # 5.5 has no start:servers


def _add_scopes(hub: Any) -> None:
    _update(hub, "custom_scopes", CUSTOM_SCOPES)


def _add_role(hub: Any, name: str, scopes: list[str], **members: list[str]) -> None:
    _append(hub, "load_roles", {"name": name, "scopes": scopes, **{kind: who for kind, who in members.items() if who}})


def _let_users_in(hub: Any) -> None:
    """Let every user open the service; in the site's own role `user` where it has one."""
    roles = hub.load_roles if isinstance(hub.get("load_roles"), list) else hub.load_roles._extend
    own = next((role for role in roles if role.get("name") == "user"), None)
    if own is not None:
        own["scopes"] = [*own.get("scopes", ["self"]), ACCESS]
    elif jupyterhub.version_info >= (6,):
        _update(hub, "extra_user_scopes", {ACCESS})
    else:
        _append(hub, "load_roles", {"name": "user", "scopes": ["self", ACCESS]})


def _add_templates(hub: Any) -> None:
    """Put our pages before JupyterHub's, behind the site's own."""
    if isinstance(hub.get("template_paths"), list):
        hub.template_paths = [*hub.template_paths, *PAGES]  # JupyterHub adds its own at the end
    elif _unset(hub, "template_paths"):
        hub.template_paths = [*PAGES]
    else:
        hub.template_paths.prepend([*PAGES])  # the site adds to the default, which would else come first


def _let_spawns_wait(c: Any) -> None:
    _update(c.JupyterHub, "tornado_settings", {"slow_spawn_timeout": 0})
    c.JupyterHub.concurrent_spawn_limit = 0
    c.JupyterHub.cleanup_servers = False
    c.Spawner.consecutive_failure_limit = 0
    c.Spawner.start_timeout = START_TIMEOUT_S
    if _unset(c.Spawner, "http_timeout"):
        c.Spawner.http_timeout = HTTP_TIMEOUT_S


def _name_servers(c: Any, *, limit: int) -> None:
    if not limit:
        return
    patterns = [section["username_pattern"] for section in c.values() if "username_pattern" in section]
    if not patterns or not all(refuses_hyphens(pattern) for pattern in patterns):
        c.JupyterHub.allow_named_servers = False
        traitlets.log.get_logger().warning(
            "Named servers stay off: user and server names are joined with '-' in places, so that one person's server "
            "could take the name of another's. Set c.Authenticator.username_pattern to one without '-', "
            r"such as r'^[a-z][a-z0-9_.]*\Z', before configure()."
        )
        return
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.named_server_limit_per_user = limit


def refuses_hyphens(pattern: str) -> bool:
    r"""Whether a user name with `-` cannot match. Cautious: what it cannot tell for sure is no.

    The Hub matches from the start only, so the pattern must end with `$` or `\Z`.
    """
    if not re.search(r"(\$|\\Z)\Z", pattern):
        return False
    plain = re.sub(r"[A-Za-z0-9]-[A-Za-z0-9]", "", re.sub(r"\\\.", "", pattern))
    in_class = re.sub(r"\[[^\]^][^\]]*\]", lambda found: found.group().replace(".", ""), plain)
    return not re.search(r"-|\.|\[\^|\\[SWDPpxuUN]|\|", in_class)


def _connect(url: str, secret_file: str, unsent_file: str) -> None:
    """Open the stream now where the Hub's loop already runs, as it does while its configuration file is read."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return  # another command reads the file: no Hub, nothing to hold
    QueueClient.shared(url=url, secret_file=secret_file, unsent_file=unsent_file).start()
    advise_once(traitlets.log.get_logger())


def _unset(section: Any, name: str) -> bool:
    value = section.get(name)
    return value is None or (isinstance(value, LazyConfigValue) and not value.to_dict())


def _append(section: Any, name: str, value: object) -> None:
    if isinstance(section.get(name), list):
        section[name] = [*section[name], value]
    else:
        section[name].append(value)


def _update(section: Any, name: str, value: Any) -> None:
    present = section.get(name)
    if isinstance(present, dict):
        section[name] = {**present, **value}
    elif isinstance(present, set | list | tuple):
        section[name] = {*present, *value}
    else:
        section[name].update(value)

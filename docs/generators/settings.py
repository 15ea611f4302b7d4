"""Every setting of the package, from its traits: name, kind, default, help, and since when it exists.

Knows traitlets. A class with settings that is not in CLASSES is an error: nothing is left out by oversight.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from inspect import cleandoc
from types import ModuleType
from typing import Any

from traitlets import HasTraits, TraitType, Undefined

import gpuqueue_spawner
from gpuqueue_spawner.auth import AccountsAuthenticator, GPUQueueLDAPAuthenticator
from gpuqueue_spawner.capacity import KubernetesCapacity, LocalCapacity
from gpuqueue_spawner.manager import Policy
from gpuqueue_spawner.service.app import ManagerApp
from gpuqueue_spawner.spawner import GPUQueueLocalSpawner
from gpuqueue_spawner.spawner.folders import FoldersMixin
from gpuqueue_spawner.spawner.kubernetes import GPUQueueKubeSpawner
from gpuqueue_spawner.spawner.queueing import QueueingMixin

#: In the order of the page: where it is set, the class, and what it is.
CLASSES: dict[str, tuple[tuple[type[HasTraits], str], ...]] = {
    "The queue manager's file": (
        (ManagerApp, "The process of the queue manager: address, database, secrets."),
        (Policy, "The site's rules: limits, leases, patience."),
        (LocalCapacity, "This machine as the place where jobs run."),
        (KubernetesCapacity, "A Kubernetes cluster as the place where jobs run: `ManagerApp.capacity_class`."),
    ),
    "The Hub's file": (
        (QueueingMixin, "What every queueing spawner has, whatever it launches."),
        (GPUQueueLocalSpawner, "Notebooks as processes of this machine. It has the settings of `QueueingMixin` too."),
        (
            GPUQueueKubeSpawner,
            "Notebooks as pods. It has those of `QueueingMixin`, `FoldersMixin` and `KubeSpawner` too.",
        ),
        (FoldersMixin, "Numeric users and folders of pods; `c.GPUQueueKubeSpawner` takes these settings as well."),
        (GPUQueueLDAPAuthenticator, "Login with an LDAP directory; all of LDAPAuthenticator's settings work too."),
        (AccountsAuthenticator, "Login with a list of accounts in a file, for demonstrations."),
    ),
}

#: Defaults that are computed when the program starts, in words.
COMPUTED = {
    ("ManagerApp", "db_url"): "`GPUQUEUE_DB_URL`, else the file `gpuqueue.sqlite` in `data_dir`",
    ("ManagerApp", "spawner_secret_file"): "`spawner_secret` in `data_dir`",
    ("ManagerApp", "cookie_secret_file"): "`cookie_secret` in `data_dir`",
    ("ManagerApp", "hub_api_url"): "`JUPYTERHUB_API_URL`, else `http://127.0.0.1:8081/hub/api`",
    ("ManagerApp", "prefix"): "`JUPYTERHUB_SERVICE_PREFIX`, else made from `base_url` and `service_name`",
    ("LocalCapacity", "cpus"): "all cores that the manager may use",
    ("LocalCapacity", "memory"): "90 % of the machine's",
    ("LocalCapacity", "node_name"): "the host name",
    ("QueueingMixin", "profile_list"): "none",
    ("GPUQueueLocalSpawner", "homes"): "the folder `homes` in the Hub's working directory",
}

_SINCE = re.compile(r"\s*\.\. versionadded:: (\S+)\s*")
_WORDS = {"Unicode": "text", "Int": "whole number", "Float": "number", "Bool": "`True` or `False`", "List": "list"}
_WORDS |= {"Type": "class, or its name", "Tuple": "tuple", "Dict": "dictionary", "ByteSpecification": "bytes, or text"}


def settings() -> str:
    """The whole reference."""
    _complete()
    parts = []
    for file, classes in CLASSES.items():
        parts.append(f"## {file}\n")
        for cls, sentence in classes:
            parts.append(f"({cls.__name__.lower()})=\n### {cls.__name__}\n\n{sentence}\n")
            parts += [_setting(cls, name, trait) for name, trait in sorted(own(cls).items())]
    return "\n".join(parts)


def own(cls: type[HasTraits]) -> dict[str, TraitType[Any, Any]]:
    """The settings that a class adds to those of its parents."""
    return {name: trait for name, trait in cls.class_own_traits(config=True).items() if trait.this_class is cls}


def every_class() -> set[type[HasTraits]]:
    """Every class of the package that adds a setting."""
    classes = {
        value
        for module in _modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, HasTraits) and value.__module__ == module.__name__
    }
    return {cls for cls in classes if own(cls)}


def _complete() -> None:
    listed = {cls for classes in CLASSES.values() for cls, _ in classes}
    missing = every_class() - listed
    if missing:
        raise ValueError(f"classes with settings that no page lists: {sorted(cls.__name__ for cls in missing)}")


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(gpuqueue_spawner.__path__, "gpuqueue_spawner."):
        if found.name.endswith("__main__") or ".migrations" in found.name:
            continue  # these run when they are imported
        yield importlib.import_module(found.name)


def _setting(cls: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> str:
    text = cleandoc(trait.help)
    since = _SINCE.search(text)
    if since is None:
        raise ValueError(f"{cls.__name__}.{name} does not say since when it exists")
    body = _SINCE.sub("", text).strip()
    facts = f"{kind(trait)} · default: {default(cls, name, trait)} · since {since[1]}"
    return f"({cls.__name__.lower()}-{name.replace('_', '-')})=\n#### `c.{cls.__name__}.{name}`\n\n{facts}\n\n{body}\n"


def kind(trait: TraitType[Any, Any]) -> str:
    """What a setting takes, in words."""
    name = type(trait).__name__
    if name == "Union":
        return "list of dictionaries, dictionary, or a function of the spawner that returns one"
    for parent in type(trait).__mro__:
        if parent.__name__ in _WORDS:
            words = _WORDS[parent.__name__]
            return f"{words}, or `None`" if trait.allow_none else words
    return name


def default(cls: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> str:
    """The value that holds when nothing is set."""
    if name in cls._trait_default_generators:
        return COMPUTED[cls.__name__, name]
    value = trait.default()
    if isinstance(value, type):
        return f"`{value.__module__.rpartition('.')[0]}.{value.__name__}`"
    if value in ("", [], None, Undefined):
        return "none"
    seconds = value if trait.help.strip().startswith("Seconds") else 0
    return f"`{value!r}`" + (f" ({_duration(seconds)})" if seconds >= 60 else "")


def _duration(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds % size == 0 and seconds // size > (1 if word == "days" else 0):
            return f"{seconds / size:g} {word}"
    return f"{seconds:g} s"

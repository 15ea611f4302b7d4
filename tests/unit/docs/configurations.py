"""Loads a piece of a configuration file as its program would, and refuses what that program would not take.

Knows which classes either program reads settings for.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from generators.settings import CLASSES
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.crypto import CryptKeeper
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.spawner import Spawner
from kubespawner import KubeSpawner
from traitlets import HasTraits
from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

from gpuqueue_spawner.service.app import ManagerApp

HUBS = (JupyterHub, Spawner, KubeSpawner, Authenticator, CryptKeeper, ConfigurableHTTPProxy)
OURS = {file: {cls.__name__: cls for cls, _ in classes} for file, classes in CLASSES.items()}
PROGRAMS: dict[str, dict[str, type[HasTraits]]] = {
    "manager_config.py": OURS["The queue manager's file"],
    "jupyterhub_config.py": {**OURS["The Hub's file"], **{cls.__name__: cls for cls in HUBS}},
}
SECRET = "0" * 64


def load(file: str, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Config, dict[str, Any]]:
    """Run it; what it set, and what it defined. Secrets are as if they were there."""
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: SECRET if _etc(path) else real(path, *a, **k))
    c = Config()
    names: dict[str, Any] = {
        "c": c,
        "get_config": lambda: c,
        "open": lambda path: io.StringIO(SECRET),
        "__name__": file,
    }
    exec(compile(text, file, "exec"), names)  # noqa: S102  # our own documentation
    return c, names


def check(file: str, c: Config) -> None:
    """Refuse a class that the program does not read, a setting that does not exist, and a value that it does not take.

    :raises AssertionError, TraitError: one of them.
    """
    for section, settings in c.items():
        cls = PROGRAMS[file].get(section)
        assert cls is not None, f"{file} sets c.{section}, which its program does not read"
        it: Any = cls.__new__(cls)  # without the constructor, which for a spawner wants a Hub
        for name, value in settings.items():
            assert name in cls.class_trait_names(config=True), f"there is no setting c.{section}.{name}"
            setattr(it, name, value.get_value(getattr(it, name)) if isinstance(value, LazyConfigValue) else value)


def _etc(path: object) -> bool:
    return str(path).startswith("/etc/gpuqueue/")


assert PROGRAMS["manager_config.py"].keys() == {"ManagerApp", *(cls.__name__ for cls in ManagerApp.classes)}

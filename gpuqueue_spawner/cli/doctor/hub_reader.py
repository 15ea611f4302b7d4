"""`python -m gpuqueue_spawner.cli.doctor.hub_reader FILE`: reads a Hub's file as the Hub would, tells JSON of it.

A process of its own: the file is a program of the site's, which may hang, end its process or change it. Tells no
secret; what two sides must share goes out as a digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import jupyterhub
from jupyterhub.app import JupyterHub

from ...spawner.advice import advice, effective
from ...spawner.local import GPUQueueLocalSpawner
from ...spawner.queueing import QueueingMixin

SERVICE = "gpuqueue"


def read(path: str) -> dict[str, Any]:
    """What a doctor wants to know of it."""
    app = JupyterHub()
    app.load_config_file(path)
    app.authenticator = app.authenticator_class(parent=app)
    queueing = issubclass(app.spawner_class, QueueingMixin)
    secret_file = str(effective(app, "spawner_secret_file")) if queueing else ""
    services = [each for each in app.services if each.get("name") == SERVICE]
    service = services[0] if services else {}
    return {
        "version": jupyterhub.__version__,
        "advice": [str(each) for each in advice(app)],
        "spawner": f"{app.spawner_class.__module__}.{app.spawner_class.__name__}",
        "queueing": queueing,
        "manager_url": str(effective(app, "manager_url")) if queueing else "",
        "secret_file": secret_file,
        "secret": digest_of(Path(secret_file)) if secret_file else "",
        "service_url": str(service.get("url") or ""),
        "service_token": digest(str(service.get("api_token") or "").encode()),
        "service_prefix": f"{app.base_url}services/{SERVICE}/",
        "homes": _homes(app),
    }


def _homes(app: Any) -> str:
    if not issubclass(app.spawner_class, GPUQueueLocalSpawner):
        return ""
    given = effective(app, "homes") or "homes"
    return str(Path(given).absolute())


def digest_of(path: Path) -> str:
    """Of a secret in a file; empty: it cannot be read."""
    try:
        return digest(path.read_bytes().strip())
    except OSError:
        return ""


def digest(secret: bytes) -> str:
    """What tells whether two secrets are the same, and nothing else of them; empty: there is none."""
    return hashlib.sha256(b"gpuqueue doctor\0" + secret).hexdigest() if secret else ""


def main() -> None:
    """Keep what the file prints out of the answer."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(read(sys.argv[1]), out)
    out.close()


if __name__ == "__main__":
    main()

"""kubectl, as the tests use it: objects in and out as dictionaries, every call with a time limit.

Knows no cluster, only a kubeconfig, so that it serves an existing cluster as well.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tests.services.program import until

from .namespaces import run

Object = dict[str, Any]

# kubectl waits for tens of seconds for an API server whose database is down.
REQUEST_S = 20
COMMAND_S = 90  # a command in a pod can hang for ever, and its request with it


class Kubectl:
    """Whoever this kubeconfig says, in this namespace; "" is its own, and takes objects of any other as well."""

    def __init__(self, kubeconfig: Path, namespace: str = "") -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def within(self, namespace: str) -> Kubectl:
        """The same in another namespace."""
        return Kubectl(self.kubeconfig, namespace)

    def command(self, *arguments: str) -> list[str]:
        """The command line."""
        namespace = [f"--namespace={self.namespace}"] if self.namespace else []
        return ["kubectl", f"--kubeconfig={self.kubeconfig}", *namespace, *arguments]

    def __call__(self, *arguments: str, text: str | None = None, within: float = COMMAND_S) -> str:
        """Run it; returns what it printed, fails with what it complained about."""
        return run(*self.command(f"--request-timeout={REQUEST_S}s", *arguments), text=text, within=within)

    def tried(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it where it may fail."""
        command = self.command(f"--request-timeout={REQUEST_S}s", *arguments)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=COMMAND_S)

    def apply(self, *objects: Object) -> None:
        """Make or change objects."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", text="\n---\n".join(map(json.dumps, objects)))

    def get(self, kind: str, name: str) -> Object:
        """One object."""
        return cast(Object, json.loads(self("get", kind, name, "--output=json")))

    def find(self, kind: str, name: str) -> Object | None:
        """One object, or None where there is none."""
        found = self("get", kind, name, "--output=json", "--ignore-not-found")
        return cast(Object, json.loads(found)) if found else None

    def all(self, kind: str, *, labels: str = "") -> list[Object]:
        """Every object of a kind, in this namespace where it has one."""
        return cast("list[Object]", json.loads(self("get", kind, f"--selector={labels}", "--output=json"))["items"])

    def delete(self, kind: str, name: str, *, grace: int | None = None) -> None:
        """Delete an object and see it gone."""
        patience = [] if grace is None else [f"--grace-period={grace}"]
        self("delete", kind, name, "--ignore-not-found", "--wait", "--timeout=60s", *patience)

    def exec(self, pod: str, *argv: str) -> str:
        """Run a command in a pod."""
        return self("exec", pod, "--request-timeout=0", "--", *argv)  # the command may take its time

    def until(self, kind: str, name: str, true: Callable[[Object], object], *, within: float, what: str) -> Object:
        """Wait until an object is so; returns it."""
        last: Object | None = None

        def look() -> bool:
            nonlocal last
            last = self.find(kind, name)
            return last is not None and bool(true(last))

        until(look, within=within, what=f"{kind} {name} {what}", story=lambda: self.story(kind, name), every=0.2)
        assert last
        return last

    def story(self, kind: str, name: str) -> str:
        """What the cluster tells about an object, for a test that failed."""
        return self.tried("describe", kind, name).stdout[-4000:]

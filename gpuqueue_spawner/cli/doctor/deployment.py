"""What a doctor looks at: the files that were named, read once, and what they lead to.

Knows how a manager's file is read. A Hub's file is read by a process of its own: hub_reader.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...capacity import Capacity, KubernetesCapacity, LocalCapacity
from ...manager import Policy
from ...service.app import ManagerApp
from ...service.secret import read_private
from .findings import NotChecked, Place

if TYPE_CHECKING:
    from .kube import Cluster

READ_S = 60.0  # a Hub's file may ask a directory or import a large package, on a busy machine
INSTANCE = "doctor"  #: what a capacity is told; no job carries it


class Unreadable(Exception):
    """A file cannot be read as what it should be; the words say why."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line says."""

    config: str = ""
    hub_config: str = ""
    kubeconfig: str = ""
    context: str = ""
    manager_url: str = ""  #: empty: as the files say
    probe: str = ""  #: namespace for pods of a moment; empty: none are made
    image: str = ""  #: of those pods
    nfs: str = ""  #: server:/export


class Deployment:
    """One deployment. What it has read it keeps."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    @cached_property
    def places(self) -> frozenset[Place]:
        """Which checks this deployment calls for."""
        found = {Place.ANY}
        if self.asked.kubeconfig:
            found.add(Place.CLUSTER)
        elif self.asked.config:
            try:
                kind = self.app.capacity_class
            except Unreadable:
                kind = None
            if kind is not None and issubclass(kind, KubernetesCapacity):
                found.add(Place.CLUSTER)
            if kind is not None and issubclass(kind, LocalCapacity):
                found.add(Place.MACHINE)
        if self.asked.probe and Place.CLUSTER in found:
            found.add(Place.PROBE)
        return frozenset(found)

    @cached_property
    def app(self) -> ManagerApp:
        """The manager's settings.

        :raises NotChecked: no file was named.
        :raises Unreadable: it is not taken.
        """
        if not self.asked.config:
            raise NotChecked("no --config FILE of the manager was given")
        app = ManagerApp()
        try:
            app.initialize(["-f", self.asked.config])
        except SystemExit as refused:  # in the words that the manager itself would end with
            raise Unreadable(str(refused.code).removeprefix("gpuqueue manager: ")) from None
        except Exception as error:  # the file is a program of the site's
            raise Unreadable(f"it ends with {type(error).__name__}: {error}") from None
        return app

    @property
    def cordons(self) -> bool:
        """Whether the manager's settings have it cordon drained nodes; without settings, no."""
        try:
            capacity = self.capacity
        except (NotChecked, Unreadable):
            return False
        return isinstance(capacity, KubernetesCapacity) and bool(capacity.cordon_drained)

    @cached_property
    def policy(self) -> Policy:
        """The manager's policy.

        :raises Exception: a value is not taken.
        """
        return Policy(parent=self.app)

    @cached_property
    def capacity(self) -> Capacity:
        """Where jobs run."""
        capacity: Capacity = self.app.capacity_class(parent=self.app, instance=INSTANCE)
        return capacity

    @property
    def hub(self) -> Mapping[str, Any]:
        """The Hub's settings, as hub_reader.py tells them.

        :raises NotChecked: no file was named.
        :raises Unreadable: it is not taken.
        """
        if not self.asked.hub_config:
            raise NotChecked("no --hub-config FILE of the Hub was given")
        found = self._hub
        if isinstance(found, str):
            raise Unreadable(found)
        return found

    @cached_property
    def _hub(self) -> Mapping[str, Any] | str:
        """What its reader tells, or why it does not."""
        command = [sys.executable, "-m", f"{__package__}.hub_reader", self.asked.hub_config]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=READ_S, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"reading it takes longer than {READ_S:g} s"
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            return f"it ends with {last[:300]}"
        return found

    @cached_property
    def cluster(self) -> Cluster:
        """The API server.

        :raises ApiError: how to reach it cannot be read.
        """
        from .kube import Cluster  # a queue on one machine does without its library

        if self.asked.kubeconfig:
            return Cluster(self.asked.kubeconfig, self.asked.context)
        capacity = self.capacity
        assert isinstance(capacity, KubernetesCapacity)
        return Cluster(capacity.kubeconfig, self.asked.context or capacity.context)

    @cached_property
    def nodes(self) -> Sequence[Mapping[str, Any]]:
        """Every node of the cluster, as it tells them.

        :raises ApiError: it does not.
        """
        items: list[dict[str, Any]] = self.cluster.ask(self.cluster.core.list_node).document["items"]
        return items

    @property
    def tolerated(self) -> Sequence[str]:
        """Taints that the queue overlooks."""
        if self.asked.config and isinstance(self.capacity, KubernetesCapacity):
            return list(self.capacity.tolerated_taints)
        default: Any = KubernetesCapacity.class_traits()["tolerated_taints"].default()
        return list(default)

    @property
    def hub_token(self) -> str:
        """The service's token, where the manager finds it.

        :raises OSError, ValueError: the file cannot be used.
        """
        path = self.app.hub_token_file
        return (
            read_private(Path(path)).decode("ascii", "replace") if path else os.environ.get("JUPYTERHUB_API_TOKEN", "")
        )

    @property
    def manager_url(self) -> str:
        """Where the manager is asked.

        :raises NotChecked: nothing says it.
        """
        if self.asked.manager_url:
            return self.asked.manager_url.rstrip("/")
        try:
            app = self.app
        except (NotChecked, Unreadable):
            return self._told_by_the_hub("manager_url").rstrip("/")
        host = "127.0.0.1" if app.ip in ("", "0.0.0.0", "::") else app.ip  # noqa: S104  # not listened on
        return f"http://{f'[{host}]' if ':' in host else host}:{app.port}"

    @property
    def manager_prefix(self) -> str:
        """The path of the manager's pages."""
        try:
            return str(self.app.prefix)
        except (NotChecked, Unreadable):
            pass
        try:
            return self._told_by_the_hub("service_prefix")
        except NotChecked:
            return "/services/gpuqueue/"

    def _told_by_the_hub(self, name: str) -> str:
        try:
            return str(self.hub[name])
        except Unreadable:
            raise NotChecked("no file that can be read says where the manager is") from None

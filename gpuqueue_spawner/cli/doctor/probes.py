"""Probes of a cluster: what only a try can tell, by pods of a moment that are removed afterwards. Made when asked for.

Knows pods. They pass Pod Security "restricted", but for the one that mounts a share, and end by themselves after two
minutes, whatever becomes of this process. How a cluster is asked: kube.py.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ...capacity.kubernetes.reflector import ApiError
from .deployment import Deployment
from .findings import Check, Finding, NotChecked, Place, ok, problem

if TYPE_CHECKING:
    from .kube import Cluster, Document

PROBE = "gpuqueue.jupyter.org/probe"  #: label of everything that is made here
ROLE = "gpuqueue.jupyter.org/probe-role"
PORT = 8765
LIVES_S = 120  #: of a pod; its cluster ends it then
START_S = 45.0  #: image, containers; a share that hangs
LOOK_S = 0.5
CLOSED_TRIES = 4  #: in a row, before a port counts as closed: a policy takes a moment to be in force

LISTEN = f"import http.server as h; h.HTTPServer(('', {PORT}), h.BaseHTTPRequestHandler).serve_forever()"
CONNECT = f"""
import socket, sys, time
end, failed = time.monotonic() + 20, 0
while time.monotonic() < end:
    try:
        socket.create_connection((sys.argv[1], {PORT}), timeout=1).close()
        failed = 0
        if sys.argv[2] == "open":
            sys.exit(0)
    except OSError:
        failed += 1
        if sys.argv[2] == "closed" and failed >= {CLOSED_TRIES}:
            sys.exit(0)
    time.sleep(0.5)
sys.exit(1)
"""
MOUNTED = "import os, sys; sys.exit(not os.path.ismount('/share'))"


class Probe:
    """Pods and a policy in one namespace, under one label."""

    def __init__(self, cluster: Cluster, namespace: str, image: str) -> None:
        self.cluster, self.namespace, self.image = cluster, namespace, image
        self.run = secrets.token_hex(4)
        self.made: list[str] = []

    def pod(self, role: str, *command: str, share: tuple[str, str] | None = None) -> str:
        """Make one; its name.

        :raises NotChecked: the cluster does not take it.
        """
        name = f"gpuqueue-doctor-{self.run}-{role}"
        document = pod(name, self.image, *command, labels={PROBE: self.run, ROLE: role}, share=share)
        try:
            self.cluster.ask(self.cluster.core.create_namespaced_pod, self.namespace, document)
        except ApiError as error:
            raise NotChecked(f"no pod could be made in the namespace {self.namespace}: {error}") from None
        self.made.append(name)
        return name

    def close(self, role: str) -> None:
        """Forbid everything that comes to a pod.

        :raises NotChecked: the cluster does not take it.
        """
        try:
            self.cluster.ask(
                self.cluster.networking.create_namespaced_network_policy,
                self.namespace,
                policy(f"gpuqueue-doctor-{self.run}", labels={PROBE: self.run}, closed={PROBE: self.run, ROLE: role}),
            )
        except ApiError as error:
            raise NotChecked(f"no policy could be made in the namespace {self.namespace}: {error}") from None

    def until(self, name: str, true: Callable[[Document], object]) -> Document | None:
        """A pod's status once it is so; None: not in time."""
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            status = self.cluster.ask(self.cluster.core.read_namespaced_pod, name, self.namespace).document
            if true(status):
                return status
            time.sleep(LOOK_S)
        return None

    def succeeds(self, name: str) -> bool | None:
        """Whether a pod's command ends well; None: it does not end."""
        ended = self.until(name, lambda it: it["status"].get("phase") in ("Succeeded", "Failed"))
        return None if ended is None else ended["status"]["phase"] == "Succeeded"

    def trouble(self, name: str) -> str:
        """What the cluster says of a pod that does not start; empty: nothing, or not to us."""
        with suppress(ApiError):
            query = {"field_selector": f"involvedObject.name={name},type=Warning"}
            listed = self.cluster.ask(self.cluster.core.list_namespaced_event, self.namespace, **query)
            if listed.document["items"]:
                return " ".join(str(listed.document["items"][-1].get("message", "")).split())[:300]
        return ""

    def remove(self) -> None:
        """Take everything away."""
        core, networking = self.cluster.core, self.cluster.networking
        for name in self.made:
            with suppress(ApiError):
                self.cluster.ask(core.delete_namespaced_pod, name, self.namespace, grace_period_seconds=0)
        with suppress(ApiError):
            name = f"gpuqueue-doctor-{self.run}"
            self.cluster.ask(networking.delete_namespaced_network_policy, name, self.namespace)


@contextmanager
def _probe(it: Deployment) -> Iterator[Probe]:
    probe = Probe(it.cluster, it.asked.probe, it.asked.image)
    try:
        yield probe
    finally:
        probe.remove()


def network(it: Deployment) -> Finding:
    """Whether a policy keeps anybody out."""
    with _probe(it) as probe:
        target = probe.pod("target", "python3", "-c", LISTEN)
        up = probe.until(target, lambda pod: pod["status"].get("phase") == "Running" and pod["status"].get("podIP"))
        if up is None:
            raise NotChecked(
                f"the pod {target} did not start: {probe.trouble(target) or 'the cluster does not say why'}"
            )
        address = str(up["status"]["podIP"])
        if not probe.succeeds(probe.pod("before", "python3", "-c", CONNECT, address, "open")):
            raise NotChecked("two pods cannot reach each other even before there is a policy")
        probe.close("target")
        kept_out = probe.succeeds(probe.pod("after", "python3", "-c", CONNECT, address, "closed"))
    where = f"({len(probe.made)} pods of a moment in {it.asked.probe}, removed)"
    if kept_out is None:
        raise NotChecked("the pod that tries did not end")
    if not kept_out:
        return problem(
            f"A NetworkPolicy is kept by nobody: a pod was reached that a policy closes {where}.",
            "Install a network plugin that enforces policies, such as Calico or Cilium. Until then every notebook "
            "reaches the ports of all others.",
        )
    return ok(f"A NetworkPolicy keeps out what it should {where}.")


def share(it: Deployment) -> Finding:
    """Whether a node can mount the share."""
    if not it.asked.nfs:
        raise NotChecked("no --nfs SERVER:/EXPORT was given")
    server, _, export = it.asked.nfs.partition(":")
    with _probe(it) as probe:
        name = probe.pod("share", "python3", "-c", MOUNTED, share=(server, export))
        mounted = probe.succeeds(name)
        words = "" if mounted else probe.trouble(name)
    if mounted:
        return ok(f"A node mounts {it.asked.nfs} (a pod of a moment in {it.asked.probe}, removed).")
    return problem(
        f"No pod can mount {it.asked.nfs}{': ' if words else ''}{words}.".replace("..", "."),
        "Is it exported to the nodes (`showmount -e`), is port 2049 open to them, and is nfs-common installed there?",
    )


def pod(
    name: str, image: str, *command: str, labels: dict[str, str], share: tuple[str, str] | None = None
) -> dict[str, Any]:
    """One that is taken nearly everywhere and holds nearly nothing."""
    container: dict[str, Any] = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi"},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LIVES_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if share:
        container["volumeMounts"] = [{"name": "share", "mountPath": "/share"}]
        spec["volumes"] = [{"name": "share", "nfs": {"server": share[0], "path": share[1], "readOnly": True}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def policy(name: str, *, labels: dict[str, str], closed: dict[str, str]) -> dict[str, Any]:
    """Nothing may come to pods with these labels."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podSelector": {"matchLabels": closed}, "policyTypes": ["Ingress"]},
    }


CHECKS = tuple(
    Check(name=name, asks=asks, look=look, place=Place.PROBE, needs=("cluster.answers",), limit=300.0)
    for name, asks, look in (
        ("probe.network", "A NetworkPolicy keeps out what it should: three pods of a moment try it.", network),
        ("probe.share", "A node can mount the NFS share that `--nfs` names: a pod of a moment tries it.", share),
    )
)

"""The chart of helm/gpuqueue, rendered, installed, upgraded and taken away by helm itself.

Knows helm and the chart's values. What people do on an installed one: tests/services/visitor.py.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.services.postgresql import PostgreSQL
from tests.services.program import until
from tests.services.site import PASSWORD, PREFIX

from .cluster import Cluster
from .control import ADDRESS
from .kubectl import Kubectl, Object
from .namespaces import TREE, run

CHART = TREE / "helm/gpuqueue"
RELEASE = "gpuqueue"  #: also what names begin with
UP_S = 180
VOLUMES = "/var/lib/gpuqueue-test-volumes"  #: on the first node
Values = Mapping[str, Any]

#: The test's own right to ask the Hub, and less patience than people have.
WATCHED = """
c.JupyterHub.services = [{"name": "test", "api_token": open("/etc/gpuqueue-extra/test-token").read()}]
c.JupyterHub.load_roles = [
    {"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "tokens", "proxy"]}
]
c.Spawner.poll_interval = 5
c.GPUQueueKubeSpawner.delete_grace_period = 1
"""
HUB = f"""{WATCHED}
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {PASSWORD!r}
c.Authenticator.allow_all = True
"""


def rendered(
    values: Values, *, namespace: str = "hub", kubeconfig: Path | None = None, version: str = ""
) -> list[Object]:
    """What the chart makes of these values; refused ones fail with helm's words. With a cluster, as it would now.

    :param version: of a Kubernetes; else helm's own.
    """
    asking = ["--dry-run=server", f"--kubeconfig={kubeconfig}"] if kubeconfig else []
    asking += [f"--kube-version={version}"] if version else []
    text = run(
        *("helm", "template", RELEASE, CHART, f"--namespace={namespace}", "--values=-", *asking),
        text=json.dumps(values),
    )
    return [each for each in yaml.safe_load_all(text) if each]


def refused(values: Values) -> str:
    """Why helm does not take these values; empty: it does."""
    command = ["helm", "lint", "--strict", str(CHART), "--values=-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def notes(values: Values) -> str:
    """What an administrator reads after it was installed."""
    command = ("helm", "install", RELEASE, CHART, "--namespace=hub", "--dry-run=client", "--values=-")
    return run(*command, text=json.dumps(values)).partition("\nNOTES:\n")[2]


class Networked(PostgreSQL):
    """A PostgreSQL that pods reach, beside the API server."""

    def initialise(self) -> None:
        """Let in whoever is in the cluster's network, which nothing else reaches."""
        super().initialise()
        with (self.folder / "data/pg_hba.conf").open("a") as file:
            file.write("host all all 10.0.0.0/8 trust\n")

    def command(self) -> list[str | Path]:
        """As else, and with an address."""
        return [*super().command(), f"--listen_addresses={ADDRESS}"]

    def address_for_pods(self, name: str) -> str:
        """The address of a database, from a pod."""
        return f"postgresql://gpuqueue@{ADDRESS}/{name}"


@dataclass(kw_only=True)
class Installed:
    """The chart in a cluster. To a visitor it is a site."""

    cluster: Cluster
    kubectl: Kubectl  #: in the release's namespace
    values: dict[str, Any]
    test_token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def notebooks(self) -> Kubectl:
        """In the notebooks' namespace."""
        return self.kubectl.within(self.values["notebooks"]["namespace"]["name"])

    @property
    def url(self) -> str:
        """Where a browser goes."""
        address = self.kubectl.get("service", f"{RELEASE}-proxy")["spec"]["clusterIP"]
        return f"http://{address}"

    def helm(self, *arguments: str, values: Values | None = None) -> str:
        """Run helm in the release's namespace."""
        given = [] if values is None else ["--values=-"]
        where = [f"--kubeconfig={self.kubectl.kubeconfig}", f"--namespace={self.kubectl.namespace}"]
        return run("helm", *arguments, *where, *given, text=json.dumps(values or {}), within=600)

    def install(self, **changed: Any) -> str:
        """Install it, or upgrade it, with other values in these sections; returns its notes."""
        self.values |= {name: self.values.get(name, {}) | values for name, values in changed.items()}
        return self.helm("upgrade", "--install", RELEASE, str(CHART), values=self.values)

    def uninstall(self) -> None:
        """Take it away, as an administrator would."""
        self.helm("uninstall", RELEASE, "--wait")

    def hub_api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask the Hub with the test's own token."""
        headers = {"Authorization": f"token {self.test_token}"}
        return requests.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=30, **more)

    def pods(self, component: str) -> list[Object]:
        """The pods of a part that are not about to end."""
        found = self.kubectl.all("pods", labels=f"app.kubernetes.io/component={component}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def wait(self, *, within: float = UP_S) -> None:
        """Wait until every part is of the newest values, and Hub and queue answer and know each other."""
        for part in ("proxy", "hub"):
            self.kubectl(
                "rollout", "status", f"deployment/{RELEASE}-{part}", f"--timeout={within}s", within=within + 10
            )
        until(self._managers_are_new, within=within, what="the managers are of the newest values", story=self.story)
        self.wait_for_the_queue(within=within)

    def wait_for_the_queue(self, *, within: float = UP_S) -> None:
        """Wait until Hub and queue answer and know each other."""

        def well() -> bool:
            with contextlib.suppress(requests.RequestException):
                hub = requests.get(self.url + "/hub/api/", timeout=2)
                queue = requests.get(self.url + PREFIX + "health", timeout=2)
                return hub.ok and queue.ok and not queue.json()["problem"]
            return False

        until(well, within=within, what="the site is up", story=self.story)

    def _managers_are_new(self) -> bool:
        """Not by its own status: one that stands by is never ready."""
        it = self.kubectl.get("deployment", f"{RELEASE}-manager")
        status = it["status"]
        return (
            status.get("observedGeneration") == it["metadata"]["generation"]
            and status.get("updatedReplicas") == it["spec"]["replicas"] == status.get("replicas")
            and len(self.kubectl.all("pods", labels="app.kubernetes.io/component=manager")) == it["spec"]["replicas"]
        )

    def story(self) -> str:
        """What its pods say, for a test that failed."""
        parts = [self.kubectl.tried("get", "pods,pvc,jobs", "--output=wide").stdout]
        parts.append(self.kubectl.tried("get", "events", "--sort-by=.lastTimestamp").stdout[-3000:])
        for each in self.kubectl.all("pods"):
            name = each["metadata"]["name"]
            parts.append(f"-- {name}\n{self.kubectl.tried('logs', name, '--tail=25').stdout}")
        parts.append(self.notebooks.tried("get", "pods", "--output=wide").stdout)
        return "\n".join(parts)


def values_for(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Small enough for this machine, with its own images and a login by one password."""
    little: dict[str, Any] = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {}}

    def image(name: str) -> dict[str, str]:
        repository, _, tag = cluster.images[name].rpartition(":")
        return {"name": repository, "tag": tag, "pullPolicy": "IfNotPresent"}

    return {
        "images": {name: image(name) for name in ("manager", "hub", "proxy", "notebook")},
        "hub": {"extraConfig": HUB, "extraSecret": "test", "resources": little},
        "manager": {"resources": little},
        "proxy": {"resources": little},
        "notebooks": {
            "namespace": {"name": f"{namespace}-notebooks"},
            "perGpu": {"cpu": 0.01, "memory": "16M"},
            "withoutGpu": {"cpu": 0.01, "memory": "64M"},
        },
    }


def install(
    cluster: Cluster,
    namespace: str,
    *,
    database: str = "",
    secret_files: Mapping[str, Mapping[str, str]] | None = None,
    **more: Any,
) -> Installed:
    """Install the chart, with what an administrator makes beforehand, and wait until it is up.

    :param database: address of the queue's, as pods reach it; else it is a file on a volume.
    :param secret_files: what else is in which secret, by file; those of `test` are in /etc/gpuqueue-extra.
    """
    values = values_for(cluster, namespace)
    for section, changed in more.items():
        values[section] = values.get(section, {}) | changed
    if database:
        values["database"] = {"kind": "external", "existingSecret": "database"}
    cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    it = Installed(cluster=cluster, kubectl=cluster.kubectl.within(namespace), values=values)
    contents = {"test": {"test-token": it.test_token}, "database": {"url": database}}
    for name, more_files in (secret_files or {}).items():
        contents.setdefault(name, {}).update(more_files)
    for name, content in contents.items():
        literals = [f"--from-literal={key}={said}" for key, said in content.items()]
        it.kubectl("create", "secret", "generic", name, *literals)
    _make_volumes(cluster, namespace, "hub", "manager")
    it.install()
    it.wait()
    return it


@contextlib.contextmanager
def chart_in(cluster: Cluster, namespace: str, **more: Any) -> Iterator[Installed]:
    """The chart, installed; gone afterwards, with everything that it keeps."""
    try:
        yield install(cluster, namespace, **more)
    finally:
        for each in (namespace, f"{namespace}-notebooks"):
            cluster.kubectl("delete", "namespace", each, "--ignore-not-found", "--wait", "--timeout=120s", within=150)
        for kind in ("clusterrole", "clusterrolebinding"):
            cluster.kubectl("delete", kind, f"{namespace}-{RELEASE}-manager", "--ignore-not-found")
        for name in ("hub", "manager"):
            cluster.kubectl("delete", "persistentvolume", f"{namespace}-{name}", "--ignore-not-found")


def _make_volumes(cluster: Cluster, namespace: str, *names: str) -> None:
    """A disk of a node for each claim: nothing provides volumes here."""
    node = next(iter(cluster.nodes.values()))
    for name in names:
        path = f"{VOLUMES}/{namespace}/{name}"
        node.machine.run("mkdir", "-p", path)
        here = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}]
        cluster.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": f"{namespace}-{name}"},
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "claimRef": {"namespace": namespace, "name": f"{RELEASE}-{name}"},
                    "local": {"path": path},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}},
                },
            }
        )

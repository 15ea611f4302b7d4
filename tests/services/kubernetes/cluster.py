"""A whole cluster for tests: brought up, asked, hurt, and taken away without a trace.

`cluster()` is a context manager. Inside it the calling process is in the cluster's network: it, and every program that
it starts, reaches nodes, pods and services as a machine beside them would, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.program import until

from . import control, keeper
from .certificates import Authority
from .devices import Allocation
from .images import Images
from .kubectl import Kubectl
from .namespaces import Inside, Machine, Shape, head, in_network_of
from .nodes import BRIDGE, Node, places
from .shares import Share

GPUS = {"dgx1": 8, "dgx2": 8}
READY_S = 90
# A machine's own file systems lie over these, so a run's folder must lie elsewhere.
COVERED = ("/etc", "/opt", "/var/lib", "/var/log", "/run")


@dataclass(kw_only=True)
class Cluster:
    """What tests ask of a cluster. One that exists already has no components, nodes and share that could be hurt."""

    kubectl: Kubectl  #: as an admin
    images: Mapping[str, str]  #: references by name, for `image:` of a pod, with pull policy Never
    server: str = control.SERVER
    components: dict[str, Inside] = field(default_factory=dict)  #: etcd, apiserver, controllers, scheduler, dns
    nodes: dict[str, Node] = field(default_factory=dict)
    share: Share | None = None
    authority: Authority | None = None  #: signs what people log in with
    folder: Path | None = None  #: logs of everything

    def allocations(self) -> list[Allocation]:
        """Which container has which devices, by the kubelets themselves."""
        return [allocation for node in self.nodes.values() for allocation in node.allocations()]

    def api_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        return self.kubectl.tried("get", "--raw=/readyz", "--request-timeout=2s").stdout == "ok"

    def node_ready(self, name: str) -> bool:
        """Whether a node is ready, with as many GPUs as it has."""
        found = self.kubectl.find("node", name)
        if not found:
            return False
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in found["status"]["conditions"])
        gpus = int(found["status"]["allocatable"].get("nvidia.com/gpu", 0))
        return ready and (name not in self.nodes or gpus == self.nodes[name].place.gpus)

    def whole(self) -> None:
        """Wait until everything is up again, as the next test expects it."""
        until(self.api_ready, within=READY_S, what="the API server is ready", story=self.story)
        for name in self.nodes:
            until(lambda name=name: self.node_ready(name), within=READY_S, what=f"{name} is ready", story=self.story)

    def mend(self) -> None:
        """Undo whatever a test did to it, and wait until it is whole."""
        for program in self.components.values():
            program.mend()
        for node in self.nodes.values():
            node.mend()
        if self.share:
            self.share.mend()
        self.whole()

    def story(self) -> str:
        """The ends of all logs, for a test that failed."""
        programs = list(self.components.values())
        for node in self.nodes.values():
            programs += [node.containerd, node.kubelet, node.proxy, node.plugin]
        return "\n".join(f"-- {program.log}\n{program.tail(8)}" for program in programs)


@contextlib.contextmanager
def cluster(images: Images, references: Mapping[str, str], gpus: Mapping[str, int] = GPUS) -> Iterator[Cluster]:
    """Bring a cluster up, and take it away again; also if this process is killed.

    :param gpus: how many each node has; with no node it is a control plane, whose nodes a test makes up.
    """
    for program in ("kube-apiserver", "kubelet", "etcd", "coredns", "mount.nfs"):
        if not shutil.which(program):
            raise AssertionError(f"{program} is not on PATH: run this through `scripts/with test cluster -- ...`")
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(head(*_folder(), Shape(folders=("etc",))))
        stack.enter_context(in_network_of(machine))
        yield _bring_up(machine, images, references, dict(gpus))


def _folder() -> tuple[Path, int]:
    runs = Path(os.environ["GPUQUEUE_CACHE"]).resolve() / "kubernetes/runs"
    assert not str(runs).startswith(COVERED), f"GPUQUEUE_CACHE may not lie below any of {' '.join(COVERED)}"
    keeper.sweep_lost(runs)
    return keeper.new_folder(runs)


def _bring_up(machine: Machine, images: Images, references: Mapping[str, str], gpus: dict[str, int]) -> Cluster:
    authority = Authority(machine.folder / "certificates")
    _make_network(machine)
    share = Share(machine)
    kubectl = Kubectl(authority.kubeconfig("admin", "admin", control.SERVER, group="system:masters"))
    programs = control.components(machine, authority)
    everywhere = list(places(gpus=gpus))
    nodes = {
        place.name: Node(machine, authority, place, [other for other in everywhere if other != place], images.seed)
        for place in everywhere
    }
    it = Cluster(
        kubectl=kubectl,
        images=references,
        components=programs,
        nodes=nodes,
        share=share,
        authority=authority,
        folder=machine.folder.parent,
    )

    programs["etcd"].start()
    programs["apiserver"].start()
    for node in nodes.values():
        node.boot()
    share.start()
    until(it.api_ready, within=READY_S, what="the API server is ready", story=programs["apiserver"].tail)
    for name in ("controllers", "scheduler", "dns"):
        programs[name].start()
    kubectl.apply(*control.dns_objects())
    for node in nodes.values():
        node.join()
    if everywhere:  # what is in the head's network reaches services through the first node
        machine.network(f"route replace {control.SERVICES} via {everywhere[0].address}")
    it.whole()
    until(
        lambda: kubectl.find("serviceaccount", "default"),
        within=READY_S,
        what="there is a service account",
        story=it.story,
    )
    return it


def _make_network(machine: Machine) -> None:
    machine.network(
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {control.ADDRESS}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    )
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # of the network that we are in

"""A node: a machine with containerd, kubelet, kube-proxy and the GPUs' device plugin, which can lose each of them.

Knows its own side only. How many there are, and the control plane: cluster.py.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tests.services.program import until

from . import control, devices, keeper
from .certificates import Authority
from .namespaces import KUBELET_SETTINGS, Inside, Machine, Shape, another, own_python, run
from .seed import Seed

CONTAINERD_S = 30
SOCKET = "run/containerd/containerd.sock"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a node is in the cluster."""

    number: int  #: from 1 on
    name: str
    gpus: int

    @property
    def address(self) -> str:
        """Its own address."""
        return f"10.99.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """The addresses of its pods."""
        return f"10.244.{self.number}.0/24"


class Node:
    """One node; `start()` after `unplug()` is the machine that comes back with its disk."""

    def __init__(self, head: Machine, authority: Authority, place: Place, others: list[Place], seed: Seed) -> None:
        self.head = head
        self.authority = authority
        self.place = place
        self.name = place.name
        self.folder = head.folder.parent / place.name
        self.unhealthy = self.folder / "unhealthy"
        self._others = others
        self._plugs = 0
        self._cgroup = keeper.cgroup(head.folder.parent, self.name)
        _write_configuration(self, authority, seed.pause)
        seed.plant(self.folder / "disk/var/lib/containerd")
        self.machine: Machine
        self.containerd: Inside
        self.kubelet: Inside
        self.proxy: Inside
        self.plugin: Inside

    def start(self) -> None:
        """Switch it on, and wait until containerd answers; the kubelet then takes its time."""
        self.boot()
        self.join()

    def boot(self) -> None:
        """Switch it on, up to containerd."""
        make_cgroups(self._cgroup)
        shape = Shape(
            folders=("etc", "opt", "var/lib", "var/log"),
            disks=("var/lib/kubelet", "var/lib/containerd"),
            feigned=KUBELET_SETTINGS,
            programs=[str(Path(str(shutil.which("mount.nfs"))).parent)],
            network={
                "ipv4.ip_forward": "1",
                "ipv4.conf.all.rp_filter": "0",
                "ipv4.conf.default.rp_filter": "0",
                "bridge.bridge-nf-call-iptables": "1",
            },
        )
        self.machine = another(self.head, self.name, self.folder, shape)
        self._plug_in()
        self.containerd = self.machine.program("containerd", "containerd", "--config", self.folder / "containerd.toml")
        self.kubelet = self.machine.program(
            "kubelet",
            "kubelet",
            f"--config={self.folder / 'kubelet.yaml'}",
            f"--kubeconfig={self.folder / 'kubelet.kubeconfig'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.place.address}",
            "--root-dir=/var/lib/kubelet",
            "--cert-dir=/var/lib/kubelet/pki",
            "--v=1",
        )
        self.proxy = self.machine.program("kube-proxy", "kube-proxy", f"--config={self.folder / 'proxy.yaml'}")
        plugin = [f"{__package__}.gpu_plugin", str(self.place.gpus), str(self.unhealthy)]
        self.plugin = self.machine.program("gpu-plugin", sys.executable, "-m", *plugin, env=own_python())
        self.containerd.start()

    def join(self) -> None:
        """Start what makes a booted machine a node."""
        self._containerd_answers()
        for program in (self.kubelet, self.proxy, self.plugin):
            program.start()

    def _containerd_answers(self) -> None:
        until(
            lambda: _answers(self.machine.root / SOCKET),
            within=CONTAINERD_S,
            what=f"containerd of {self.name} answers",
            story=self.containerd.tail,
            every=0.05,
        )

    def unplug(self) -> None:
        """Pull the plug: every process of it ends at once. Its disk stays."""
        self.machine.unplug()
        keeper.remove_cgroups(self._cgroup)  # a reboot leaves none; old ones cost a kubelet 3 s each

    def kill_with_containerd(self) -> None:
        """Kill kubelet and containerd; the containers run on."""
        self.kubelet.kill()
        self.containerd.kill()

    def stop_with_containerd(self) -> None:
        """End kubelet and containerd as an upgrade of both does; the containers run on."""
        self.kubelet.stop()
        self.containerd.stop()

    def start_with_containerd(self) -> None:
        """Start both again."""
        self.containerd.start()
        self._containerd_answers()
        self.kubelet.start()

    def rename(self, name: str) -> None:
        """Let it join by this name, with a login of that name. What it was called is removed by whoever renames it."""
        self.kubelet.kill()
        _give_login(self.authority, name, self.folder)
        flag = "--hostname-override="
        self.kubelet.argv = [flag + name if each.startswith(flag) else each for each in self.kubelet.argv]
        self.kubelet.start()

    def cut(self) -> None:
        """Cut its network."""
        run("ip", "link", "set", self._link, "down")

    def heal(self) -> None:
        """Mend its network."""
        run("ip", "link", "set", self._link, "up")

    def mend(self) -> None:
        """Let it be whole, whatever was done to it; the kubelet then takes its time."""
        self.break_gpus()
        if not self.machine.alive:
            self.start()
            return
        self.heal()
        self.containerd.mend()
        self._containerd_answers()
        for program in (self.kubelet, self.proxy, self.plugin):
            program.mend()

    def allocations(self) -> list[devices.Allocation]:
        """Which container has which devices, by the kubelet itself."""
        return list(devices.allocations(self.name, self.machine.root))

    def break_gpus(self, *numbers: int) -> None:
        """Say which of its GPUs are broken; none: all are whole again."""
        self.unhealthy.write_text("\n".join(f"GPU-{self.name}-{number}" for number in numbers))

    @property
    def _link(self) -> str:
        # The kernel removes the link of a machine that lost its plug some time later, so the next one has another name.
        return f"n{self.place.number}-{self._plugs}"

    def _plug_in(self) -> None:
        self._plugs += 1
        own = self.place
        self.head.network(
            f"link add {self._link} type veth peer name eth0 netns {self.machine.pid}",
            f"link set {self._link} master {BRIDGE} up",
            f"route replace {own.pods} via {own.address}",
        )
        # No default route: nothing leaves the cluster, and look-ups of a cloud's metadata fail at once.
        self.machine.network(
            "link set lo up",
            f"addr add {own.address}/24 dev eth0",
            "link set eth0 up",
            f"route add {control.SERVICES} dev eth0",
            *(f"route add {other.pods} via {other.address}" for other in self._others),
        )


BRIDGE = "nodes"


def _answers(path: Path) -> bool:
    """Whether containerd serves a kubelet: it listens before it can, and a kubelet that comes too early ends."""
    if not path.exists():
        return False
    with grpc.insecure_channel(f"unix://{path}", options=[("grpc.default_authority", "localhost")]) as channel:
        try:
            channel.unary_unary("/runtime.v1.RuntimeService/Version")(b"", timeout=2)
        except grpc.RpcError:
            return False
    return True


def make_cgroups(name: str) -> None:
    """Make a cgroup in every hierarchy."""
    for root in keeper.cgroup_roots():
        (root / name).mkdir(exist_ok=True)
    cpuset = keeper.CGROUPS / "cpuset"  # version 1: nothing may run in it until it is filled in
    if (cpuset / name).exists():
        for file in ("cpus", "mems"):
            (cpuset / name / f"cpuset.{file}").write_text((cpuset / f"cpuset.{file}").read_text())


def _write_configuration(node: Node, authority: Authority, pause: str) -> None:
    place, folder = node.place, node.folder
    etc = folder / "root/etc"
    for path in (etc, folder / "cni"):
        path.mkdir(parents=True)
    names = [f"{other.address} {other.name}" for other in [place, *node._others]]
    (etc / "hosts").write_text("\n".join(["127.0.0.1 localhost", *names, ""]))
    (etc / "resolv.conf").write_text(f"nameserver {control.ADDRESS}\n")
    (folder / "containerd.toml").write_text(_containerd(folder / "cni", pause))
    (folder / "cni/10-bridge.conflist").write_text(json.dumps(_cni(place)))
    proxy = authority.kubeconfig(
        f"{place.name}-proxy", "system:kube-proxy", control.SERVER, group="system:node-proxier"
    )
    _give_login(authority, place.name, folder)
    (folder / "kubelet.yaml").write_text(json.dumps(_kubelet(node._cgroup, authority)))
    (folder / "proxy.yaml").write_text(json.dumps(_proxy(place.name, proxy)))


def _give_login(authority: Authority, name: str, folder: Path) -> None:
    """A kubelet may say of itself only what its login says."""
    kubeconfig = authority.kubeconfig(name, f"system:node:{name}", control.SERVER, group="system:nodes")
    shutil.copy(kubeconfig, folder / "kubelet.kubeconfig")


def _containerd(cni: Path, pause: str) -> str:
    # Without CAP_SYS_RESOURCE nobody may lower a process' oom_score_adj.
    return f"""
version = 2
[grpc]
  address = "/{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def _cni(place: Place) -> dict[str, Any]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": place.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet(cgroup: str, authority: Authority) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "clusterDNS": [control.DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": "/etc/resolv.conf",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # The images come with the machine and cannot be pulled again; the disk is not the cluster's own to watch.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
        },
        "containerRuntimeEndpoint": f"unix:///{SOCKET}",
        "nodeStatusUpdateFrequency": "1s",
        "nodeLeaseDurationSeconds": 4,
        "syncFrequency": "2s",
    }


def _proxy(name: str, kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "mode": "iptables",
        "clusterCIDR": control.PODS,
        "hostnameOverride": name,
        "oomScoreAdj": 0,
        "conntrack": {"maxPerCore": 0},  # a setting of the whole machine
        "iptables": {"minSyncPeriod": "100ms"},
    }


def places(*, gpus: dict[str, int]) -> Iterator[Place]:
    """A place for each node."""
    for number, (name, count) in enumerate(gpus.items(), start=1):
        yield Place(number=number, name=name, gpus=count)

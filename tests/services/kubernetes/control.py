"""A cluster's control plane: etcd, API server, controller manager, scheduler and DNS, as programs of the head machine.

Each can be killed, paused, stopped and started by itself. Knows no node; who starts what, and when: cluster.py.
"""

from __future__ import annotations

from typing import Any

from .certificates import Authority
from .namespaces import Inside, Machine

ADDRESS = "10.99.0.1"  #: of the head, in a network that nothing leaves
SERVER = f"https://{ADDRESS}:6443"
SERVICES = "10.96.0.0/16"
KUBERNETES = "10.96.0.1"  #: the API server's own service, the first address
DNS = "10.96.0.10"
PODS = "10.244.0.0/16"
ETCD = "http://127.0.0.1:2379"
ISSUER = "https://kubernetes.default.svc.cluster.local"

# Upstream waits 40 s until a silent node is lost, and 300 s more until its pods are given up.
NODE_LOST_S = 6
PODS_GIVEN_UP_S = 5
NODES_GIVEN_UP_A_SECOND = 10


def components(head: Machine, authority: Authority) -> dict[str, Inside]:
    """The control plane's programs by short names, in the order in which they start."""
    # etcd without fsync: tests kill processes, they do not cut the power.
    etcd = ["--unsafe-no-fsync", f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}"]
    return {
        "etcd": head.program("etcd", "etcd", f"--data-dir={head.folder / 'etcd'}", *etcd),
        "apiserver": head.program("apiserver", "kube-apiserver", *_apiserver(authority)),
        "controllers": head.program("controllers", "kube-controller-manager", *_controllers(authority)),
        "scheduler": head.program("scheduler", "kube-scheduler", *_client(authority, "scheduler", "kube-scheduler")),
        "dns": head.program("dns", "coredns", "-conf", _corefile(head, authority)),
    }


def _apiserver(authority: Authority) -> list[str]:
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    certificate, key = authority.issue(
        "apiserver", "kube-apiserver", addresses=[*names, "localhost", "127.0.0.1", ADDRESS, KUBERNETES]
    )
    to_kubelets, to_kubelets_key = authority.issue("kubelet-client", "apiserver-kubelet-client", group="system:masters")
    front, front_key = authority.issue("front-proxy", "front-proxy-client")
    return [
        f"--etcd-servers={ETCD}",
        f"--advertise-address={ADDRESS}",
        f"--bind-address={ADDRESS}",
        "--secure-port=6443",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--client-ca-file={authority.ca}",
        f"--kubelet-client-certificate={to_kubelets}",
        f"--kubelet-client-key={to_kubelets_key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={authority.service_accounts}",
        f"--service-account-signing-key-file={authority.service_accounts}",
        f"--service-account-issuer={ISSUER}",
        f"--requestheader-client-ca-file={authority.ca}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={front}",
        f"--proxy-client-key-file={front_key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={SERVICES}",
        f"--default-not-ready-toleration-seconds={PODS_GIVEN_UP_S}",
        f"--default-unreachable-toleration-seconds={PODS_GIVEN_UP_S}",
    ]


def _controllers(authority: Authority) -> list[str]:
    return [
        *_client(authority, "controllers", "kube-controller-manager"),
        "--use-service-account-credentials=true",
        f"--root-ca-file={authority.ca}",
        f"--service-account-private-key-file={authority.service_accounts}",
        f"--requestheader-client-ca-file={authority.ca}",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={NODE_LOST_S}s",
        # Upstream gives up one node in ten seconds at most, which spares a campus whose network is down.
        f"--node-eviction-rate={NODES_GIVEN_UP_A_SECOND}",
        f"--secondary-node-eviction-rate={NODES_GIVEN_UP_A_SECOND}",
    ]


def _client(authority: Authority, file: str, name: str) -> list[str]:
    path = authority.kubeconfig(file, f"system:{name}", SERVER)
    flags = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [*(f"--{flag}={path}" for flag in flags), "--bind-address=127.0.0.1", "--leader-elect=false"]


def _corefile(head: Machine, authority: Authority) -> str:
    """Only the cluster's own names; any other is unknown at once, as nothing leaves the network."""
    path = head.folder / "Corefile"
    admin = authority.kubeconfig("dns", "dns", SERVER, group="system:masters")
    path.write_text(f"""
cluster.local:10053 in-addr.arpa:10053 {{
  bind {ADDRESS}
  errors
  kubernetes {{
    kubeconfig {admin}
    pods insecure
    ttl 1
  }}
}}
.:10053 {{
  bind {ADDRESS}
  template ANY ANY {{
    rcode NXDOMAIN
  }}
}}
""")
    return str(path)


def dns_objects() -> list[dict[str, Any]]:
    """The way of pods to CoreDNS, which runs beside the API server and not in a pod."""
    protocols = {"dns": "UDP", "dns-tcp": "TCP"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {
            "clusterIP": DNS,
            "ports": [
                {"name": name, "port": 53, "targetPort": 10053, "protocol": protocol}
                for name, protocol in protocols.items()
            ],
        },
    }
    labels = {"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "tests"}
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "kube-dns-head", "namespace": "kube-system", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": 10053, "protocol": protocol} for name, protocol in protocols.items()],
    }
    return [service, slices]

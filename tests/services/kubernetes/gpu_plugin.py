"""`python -m tests.services.kubernetes.gpu_plugin COUNT UNHEALTHY`: a device plugin for GPUs that do not exist.

It speaks the kubelet's device plugin interface (v1beta1), so the kubelet itself counts the GPUs and chooses which a
container gets, as with NVIDIA's plugin. UNHEALTHY is a file that names the broken ones.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc

from .wire import field, messages, texts

RESOURCE = "nvidia.com/gpu"
FOLDER = Path("/var/lib/kubelet/device-plugins")
SOCKET = "nvidia-gpu.sock"
LOOK_S = 0.5


class Plugin:
    """The GPUs of one node."""

    def __init__(self, count: int, unhealthy: Path) -> None:
        self.ids = [f"GPU-{socket.gethostname()}-{number}" for number in range(count)]
        self.unhealthy = unhealthy
        self._server: grpc.Server | None = None

    def devices(self) -> bytes:
        """The list as the kubelet reads it."""
        broken = set(self.unhealthy.read_text().split()) if self.unhealthy.exists() else set()
        return b"".join(
            field(1, field(1, gpu) + field(2, "Unhealthy" if gpu in broken else "Healthy")) for gpu in self.ids
        )

    def list_and_watch(self, _: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """The list, and again whenever it has changed."""
        sent = None
        while context.is_active():
            now = self.devices()
            if now != sent:
                yield now
                sent = now
            time.sleep(LOOK_S)

    def allocate(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        """What each container is told."""
        containers = [texts(container, 1) for container in messages(request, 1)]
        print("allocate", containers, flush=True)
        names = [field(1, "NVIDIA_VISIBLE_DEVICES") + field(2, ",".join(ids)) for ids in containers]
        return b"".join(field(1, field(1, name)) for name in names)

    def serve(self) -> None:
        """Listen, and tell the kubelet so."""
        if self._server:
            self._server.stop(0).wait()
        (FOLDER / SOCKET).unlink(missing_ok=True)
        nothing = grpc.unary_unary_rpc_method_handler(lambda *_: b"")
        methods = {
            "GetDevicePluginOptions": nothing,
            "PreStartContainer": nothing,
            "GetPreferredAllocation": nothing,
            "Allocate": grpc.unary_unary_rpc_method_handler(self.allocate),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(self.list_and_watch),
        }
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1beta1.DevicePlugin", methods),))
        self._server.add_insecure_port(f"unix://{FOLDER / SOCKET}")
        self._server.start()
        with grpc.insecure_channel(
            f"unix://{FOLDER}/kubelet.sock", options=[("grpc.default_authority", "localhost")]
        ) as channel:
            register = channel.unary_unary("/v1beta1.Registration/Register")
            register(field(1, "v1beta1") + field(2, SOCKET) + field(3, RESOURCE), timeout=5)
        print("registered", len(self.ids), flush=True)


def kubelet() -> tuple[int, int] | None:
    """Which kubelet listens: a new one makes its socket anew, and forgets its plugins."""
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(FOLDER / "kubelet.sock")
        return found.st_ino, found.st_ctime_ns
    return None


def main() -> None:
    """Serve every kubelet that comes."""
    plugin = Plugin(int(sys.argv[1]), Path(sys.argv[2]))
    served = None
    while True:
        now = kubelet()
        if now and (now != served or not (FOLDER / SOCKET).exists()):
            try:
                plugin.serve()
                served = now
            except grpc.RpcError as error:  # it has made its socket and does not answer yet
                print("not registered:", error, flush=True)
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()

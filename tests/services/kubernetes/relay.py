"""A wire between one program and the API server that a test can cut: bytes go through, or stop without a word.

It passes TLS on untouched. Who is to use it is given a kubeconfig that names its port.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from .control import ADDRESS, SERVER

PIECE = 65536


class Relay:
    """Listens until closed. Cut, it takes connections and passes nothing on, as a broken switch does."""

    def __init__(self) -> None:
        host, _, port = SERVER.removeprefix("https://").rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server((ADDRESS, 0))
        self._passes = threading.Event()
        self._passes.set()
        self._ends = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def kubeconfig(self, like: Path) -> Path:
        """The same cluster and user, through this wire; written beside the given one."""
        port = self._listener.getsockname()[1]
        path = like.with_name(f"{like.name}-through-{port}")
        text = like.read_text()
        assert SERVER in text, f"{like} names another server than {SERVER}"
        path.write_text(text.replace(SERVER, f"https://{ADDRESS}:{port}"))
        return path

    def cut(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        self._passes.clear()

    def heal(self) -> None:
        """What waited comes through."""
        self._passes.set()

    def reset(self) -> None:
        """Close every connection that is open now, watches among them."""
        with self._lock:
            connections, self._open = self._open, set()
        for each in connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it, and every connection."""
        self._ends = True
        self._listener.close()
        self.heal()
        self.reset()

    def _accept(self) -> None:
        while not self._ends:
            with contextlib.suppress(OSError):
                one, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=[one], daemon=True).start()

    def _connect(self, one: socket.socket) -> None:
        self._passes.wait()
        with one, contextlib.suppress(OSError), socket.create_connection(self._to, timeout=10) as other:
            other.settimeout(None)
            with self._lock:
                self._open |= {one, other}
            back = threading.Thread(target=self._pass_on, args=[other, one], daemon=True)
            back.start()
            self._pass_on(one, other)
            back.join()
            with self._lock:
                self._open -= {one, other}

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                self._passes.wait()
                sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

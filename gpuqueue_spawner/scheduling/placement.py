"""Which server a job gets: best fit, so that whole servers stay whole; equally good ones by name.

A job with GPUs goes where the fewest GPUs of its kind are free (of its first kind by name, should it ask for several).
A job without GPUs goes to a server without GPUs if one has room, then where the fewest CPUs, then the least memory is
free. Drained servers take nothing new, nor do those outside a job's pool. Where a launch of it failed it goes only if
no other server has room. Knows servers; who is placed, and when: course.py.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable

from .amounts import Amount
from .pools import Pool
from .servers import Server


class Shelves:
    """Servers sorted by what is free, so that the best fit is found without looking at all of them."""

    def __init__(self, servers: Iterable[Server]) -> None:
        self._servers = {server.name: server for server in servers if not server.drained}
        self._by_gpus: dict[str, list[tuple[int, str]]] = {}  # resource name: (free GPUs, server)
        self._by_size: list[tuple[bool, int, int, str]] = []  # (has GPUs, free CPUs, free memory, server)
        for server in self._servers.values():
            self._by_size.append(_size(server))
            for name, slots in server.free.items():
                self._by_gpus.setdefault(name, []).append((len(slots), server.name))
        for shelf in (self._by_size, *self._by_gpus.values()):
            shelf.sort()  # type: ignore[attr-defined]

    def put(self, server: Server) -> None:
        """Sort it in by what is free now."""
        if server.drained:
            return
        insort(self._by_size, _size(server))
        for name, slots in server.free.items():
            insort(self._by_gpus.setdefault(name, []), (len(slots), server.name))

    def remove(self, server: Server) -> None:
        """Take it out, before anything of it is given out or comes back."""
        if server.drained:
            return
        del self._by_size[bisect_left(self._by_size, _size(server))]
        for name, slots in server.free.items():
            shelf = self._by_gpus[name]
            del shelf[bisect_left(shelf, (len(slots), server.name))]

    def best(self, need: Amount, pool: Pool, avoid: Collection[str] = ()) -> Server | None:
        """The server of the pool that a job gets, one to avoid only if no other has room; None: it has to wait."""
        best = self._best_for_gpus if need.gpus else self._best_for_size
        return (best(need, pool, avoid) if avoid else None) or best(need, pool, ())

    def _best_for_gpus(self, need: Amount, pool: Pool, without: Collection[str]) -> Server | None:
        kind, count = need.gpus[0]
        shelf = self._by_gpus.get(kind, [])
        for _, name in shelf[bisect_left(shelf, (count, "")) :]:
            server = self._servers[name]
            if (pool is None or name in pool) and name not in without and server.fits(need):
                return server
        return None

    def _best_for_size(self, need: Amount, pool: Pool, without: Collection[str]) -> Server | None:
        for has_gpus in (False, True):
            start = bisect_left(self._by_size, (has_gpus, need.cpus, need.memory, ""))
            for other, _, _, name in self._by_size[start:]:
                if other is not has_gpus:
                    break
                server = self._servers[name]
                if (pool is None or name in pool) and name not in without and server.fits(need):
                    return server
        return None


def _size(server: Server) -> tuple[bool, int, int, str]:
    return bool(server.whole.gpus), server.cpus, server.memory, server.name

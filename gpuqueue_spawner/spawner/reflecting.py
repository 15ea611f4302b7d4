"""What the Hub sees of pods and events: KubeSpawner's reflectors, which go on after whatever happens to the API server.

Knows how to follow and how patient to be. KubeSpawner's own way waits up to a minute on a connection that is dead, then
ever longer before it tries again, and after a minute without an API server it gives up. Who reads it: kubernetes.py.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from aiohttp import ClientError, ClientTimeout
from kubernetes_asyncio.client import ApiException
from kubespawner.reflector import ResourceReflector
from kubespawner.spawner import EventReflector, PodReflector

LIST_S = 10.0  # for a whole list; it takes under one second where the API server answers
WATCH_S = 10  # the server ends a watch after this, so that its silence is never longer
SILENCE_S = 15.0  # without a byte: then the connection is dead
CONNECT_S = 3.0
PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0  # between two tries

FAULTS = (ApiException, ClientError, OSError, TimeoutError, ValueError, KeyError)


class SteadyReflector(ResourceReflector):  # type: ignore[misc]  # KubeSpawner ships no types
    """Put before one of KubeSpawner's, it follows until it is cancelled."""

    async def start(self) -> None:
        """Follow, and return once everything was listed: before that a pod that runs would pass for gone."""
        self.watch_task = asyncio.create_task(self._watch_and_update(), name=f"follow {self.kind}")
        await self.listed()

    async def listed(self) -> None:
        """Return once everything was listed."""
        await asyncio.shield(self.first_load_future)  # others wait for it too

    async def stop(self) -> None:
        """End."""
        if self.watch_task is not None:
            self.watch_task.cancel()
            await asyncio.gather(self.watch_task, return_exceptions=True)

    async def _watch_and_update(self) -> None:
        """Follow until cancelled."""
        pause = PAUSE_S
        while True:
            try:
                # Not from a version: the API server then says what is so now, and no cache of it what was so once.
                version = await asyncio.wait_for(self._list_and_update(), LIST_S)
                pause = PAUSE_S
                await self._follow(version)
            except FAULTS as error:
                said = " ".join(str(error).split())[:300] or type(error).__name__
                self.log.warning("Following %s: tried again in %g s (%s)", self.kind, pause, said)
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _follow(self, version: str) -> None:
        """Take every change over until the server ends the watch."""
        where = {} if self.omit_namespace else {"namespace": self.namespace}
        watch = partial(
            getattr(self.api, self.list_method_name),
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            resource_version=version,
            timeout_seconds=WATCH_S,
            watch=True,
            _preload_content=False,
            _request_timeout=ClientTimeout(sock_connect=CONNECT_S, connect=CONNECT_S, sock_read=SILENCE_S),
            **where,
        )
        response = await watch()
        try:
            while line := await response.content.readline():
                self._take(json.loads(line))
        finally:
            response.close()

    def _take(self, event: dict[str, Any]) -> None:
        kind, document = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiException(status=document.get("code"), reason=document.get("message"))
        name = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
        if kind == "DELETED":
            self.resources.pop(name, None)
        else:
            self.resources[name] = document


class SteadyPods(SteadyReflector, PodReflector):  # type: ignore[misc]
    """Pods of notebooks."""


class SteadyEvents(SteadyReflector, EventReflector):  # type: ignore[misc]
    """What the cluster says of them."""


#: By KubeSpawner's own, which is asked for.
STEADY = {PodReflector: SteadyPods, EventReflector: SteadyEvents}

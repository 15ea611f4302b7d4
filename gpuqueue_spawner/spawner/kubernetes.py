"""Notebooks as pods: KubeSpawner, whose pod waits in the queue first and is then bound to the node it was given.

Knows KubeSpawner. Waiting, permits and stops: queueing.py. What is added to a pod, and what its state means: pods.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from jupyterhub.utils import maybe_future
from kubespawner import KubeSpawner
from traitlets import Float

from ..model.pods import KEY, LAUNCH, pod_resources
from ..model.resources import InvalidResources
from .errors import InvalidOption, LaunchFailed
from .jobs import Permit
from .pods import exit_status, launch_name, marks, pinned, trouble, unplaced
from .profiles import Wish
from .queueing import QueueingMixin

LOOK_EVERY_S = 0.5
UNPLACED_S = 30.0  # the scheduler was given one node that has room; it may have to see the room first
GONE_S = 30.0  # a pod whose node answers is gone by then; one on a dead node may stay for hours

#: KubeSpawner calls its own stop() to remove a pod while it starts or polls: there it must not end the job.
_inside: ContextVar[bool] = ContextVar("gpuqueue_inside_kubespawner", default=False)


class GPUQueueKubeSpawner(QueueingMixin, KubeSpawner):  # type: ignore[misc]
    """Waits in the queue, then makes the pod where the queue has found room for it.

    All of KubeSpawner's configuration works. What a job takes is read off the finished manifest, hooks included.
    """

    gone_timeout = Float(
        GONE_S,
        config=True,
        help="""
        Seconds to wait until a deleted pod is gone. After them the Hub goes on; its GPUs count as held until it is.

        .. versionadded:: 0.1
        """,
    )

    _ended: int | None = None  # exit status of the notebook

    async def wish(self) -> Wish:
        """What the finished manifest asks for."""
        wish = await super().wish()
        await self.load_user_options()
        manifest = await self.get_pod_manifest()
        if self.modify_pod_hook:
            manifest = await maybe_future(self.modify_pod_hook(self, manifest))
        try:
            return replace(wish, resources=pod_resources(self._document(manifest)["spec"]))
        except InvalidResources as error:
            raise InvalidOption(error.field, error.value, error.allowed) from None

    async def launch(self, permit: Permit) -> Any:
        """Make the pod, and return its URL once it is ready; as soon as it cannot become so, fail in its own words."""
        async with self._inside_kubespawner():
            await self._end_earlier(permit)
            self.pod_name = launch_name(
                self._expand_user_properties(self.pod_name_template), permit.job.key, permit.launch
            )
            self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)
            self._start_future = self._ended = None
            start = asyncio.ensure_future(super().launch(permit))
            beside = [asyncio.ensure_future(each) for each in (self._fails(), self._tell_events(permit))]
            try:
                await asyncio.wait([start, beside[0]], return_when=asyncio.FIRST_COMPLETED)
                if not start.done():
                    raise LaunchFailed(beside[0].result())
                return start.result()
            finally:
                for task in (start, *beside):
                    task.cancel()
                await asyncio.gather(start, *beside, return_exceptions=True)

    async def poll_launch(self) -> int | None:
        """None while the pod lives, else the exit status of the notebook."""
        # KubeSpawner deletes a pod that has ended, and with it what tells how.
        self._ended = exit_status(self._pod() or {}) if self._ended is None else self._ended
        async with self._inside_kubespawner():
            return await super().poll_launch()

    async def exit_status(self) -> int | None:
        """How the notebook ended; None: its pod was gone before anybody looked."""
        return self._ended

    async def end_launch(self, *, now: bool = False) -> None:
        """Delete the pod and wait until it is gone, for as long as `gone_timeout`."""
        try:
            async with self._inside_kubespawner(), asyncio.timeout(self.gone_timeout):
                await super().end_launch(now=now)
        except TimeoutError:
            self.log.warning(
                "Pod %s is not gone after %g s; its GPUs are held until it is", self.pod_name, self.gone_timeout
            )

    async def stop(self, now: bool = False) -> None:
        """End the server; called by KubeSpawner itself, remove the pod only."""
        if _inside.get():
            await KubeSpawner.stop(self, now=now)
        else:
            await super().stop(now=now)

    async def _make_create_pod_request(self, pod: Any, request_timeout: float) -> bool:
        """Mark and pin the pod at the last moment: a hook of the site may have replaced its labels or its affinity."""
        if self._permit is not None:
            pod.metadata.labels = (pod.metadata.labels or {}) | self._marks(self._permit)
            self._pin(pod, self._permit.job.node)
        made: bool = await super()._make_create_pod_request(pod, request_timeout)
        return made

    def _marks(self, permit: Permit) -> dict[str, str]:
        return marks(permit.environment["GPUQUEUE_JOB"], permit.job.id)

    def _pin(self, pod: Any, node: str) -> None:
        api = self.api.api_client
        spec = api.sanitize_for_serialization(pod.spec)
        affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
        required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
        required["nodeSelectorTerms"] = pinned(required.get("nodeSelectorTerms") or (), node)
        pod.spec.affinity = spec["affinity"]

    def _document(self, manifest: Any) -> dict[str, Any]:
        document: dict[str, Any] = self.api.api_client.sanitize_for_serialization(manifest)
        return document

    @asynccontextmanager
    async def _inside_kubespawner(self) -> AsyncIterator[None]:
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)

    async def _end_earlier(self, permit: Permit) -> None:
        """Remove the pods of this job's earlier launches: a Hub that was killed may have left one.

        One on a node that died stays; this launch has another name, and its own room.
        """
        selector = f"{KEY}={permit.job.key},{LAUNCH}!={permit.launch}"
        until = time.monotonic() + self.gone_timeout
        while True:
            pods = (await self.api.list_namespaced_pod(self.namespace, label_selector=selector)).items
            if not pods or time.monotonic() > until:
                return
            for pod in pods:
                if pod.metadata.deletion_timestamp is None:
                    self.log.info("Deleting pod %s of an earlier launch", pod.metadata.name)
                    await self._make_delete_pod_request(pod.metadata.name, None, 0, self.k8s_api_request_timeout)
            await asyncio.sleep(LOOK_EVERY_S)

    def _pod(self) -> dict[str, Any] | None:
        """The pod as the cluster last told it."""
        pods: dict[str, Any] = self.pod_reflector.pods if self.pod_reflector else {}
        return pods.get(f"{self.namespace}/{self.pod_name}")

    async def _fails(self) -> str:
        """Return why the pod cannot start, if it comes to that."""
        since: float | None = None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            pod = self._pod()
            if pod is None:
                continue
            if words := trouble(pod):
                return words
            words = unplaced(pod)
            since = (since or time.monotonic()) if words else None
            if since is not None and time.monotonic() - since > UNPLACED_S:
                return words

    async def _tell_events(self, permit: Permit) -> None:
        """Show what the cluster says of the pod while it starts."""
        async for event in KubeSpawner.progress(self):
            words = (event.get("raw_event") or {}).get("message")
            if words:
                self.queue_progress.show("launching", 75, " ".join(str(words).split())[:300], permit.job)

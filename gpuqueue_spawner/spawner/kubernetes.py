"""Notebooks as pods: KubeSpawner, whose pod waits in the queue first and is then bound to the node it was given.

Knows KubeSpawner. Waiting, permits and stops: queueing.py. What is added to a pod, and what its state means: pods.py.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any

from jupyterhub.utils import exponential_backoff, maybe_future
from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner
from traitlets import Bool, Float, TraitError, default, validate

from ..model import Cause, Fate, pod_fate
from ..model.pods import KEY, LAUNCH, pod_constraints, pod_resources, refuse_impossible
from ..model.resources import InvalidResources
from .apiserver import FAULTS, away, said
from .clearing import clear
from .client import QueueClient
from .errors import InvalidOption, LaunchFailed
from .folders import FoldersMixin
from .jobs import Permit
from .pods import NOTEBOOK, launch_name, marks, notes, pinned, trouble, unplaced, unready
from .profiles import Wish
from .queueing import QueueingMixin
from .reflecting import STEADY, SteadyReflector
from .tokens import hidden, secret_manifest, secret_name
from .users import Identity

LOOK_EVERY_S = 0.5
UNPLACED_S = 30.0  # the scheduler was given one node that has room; it may have to see the room first
GONE_S = 30.0  # a pod whose node answers is gone by then; one on a dead node may stay for hours

#: KubeSpawner calls its own stop() to remove a pod while it starts or polls: there it must not end the job.
_inside: ContextVar[bool] = ContextVar("gpuqueue_inside_kubespawner", default=False)


class GPUQueueKubeSpawner(QueueingMixin, FoldersMixin):
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
    mount_timeout = Float(
        60.0,
        config=True,
        help="""
        Seconds that a node has for a pod's volumes and network; after them the launch fails, with the node's reason.

        Images are pulled later, and do not count. Kubernetes itself would go on trying to mount a share for ever.

        .. versionadded:: 0.1
        """,
    )
    token_in_secret = Bool(
        True,
        config=True,
        help="""
        Whether a notebook gets its API token by a secret that goes with its pod, so that whoever may read pods, as the
        queue manager may, does not have it. The Hub then needs the rights to create and delete secrets.

        Switch it off only where the Hub cannot have them.

        .. versionadded:: 0.1
        """,
    )

    @validate("gone_timeout", "mount_timeout")
    def _some_seconds(self, proposal: Any) -> float:
        if not 1 <= proposal.value <= 3600:
            name = f"{type(self).__name__}.{proposal.trait.name}"
            raise TraitError(f"{name} is {proposal.value!r}; allowed is 1 to 3600 seconds")
        return float(proposal.value)

    _fate: Fate | None = None  # what became of the pod: the first that was seen of its end

    async def wish(self) -> Wish:
        """What the finished manifest asks for."""
        wish = await super().wish()
        self._who = await self.directory_user()
        await self.load_user_options()
        manifest = await self.get_pod_manifest()
        if self.modify_pod_hook:
            manifest = await maybe_future(self.modify_pod_hook(self, manifest))
        pod = self._document(manifest)
        self.check_users(pod)
        try:
            refuse_impossible(pod["spec"])
            resources = pod_resources(pod["spec"])
        except InvalidResources as error:
            raise InvalidOption(error.field, error.value, error.allowed) from None
        await self.prepare_folder(pod, early=True)
        return replace(wish, resources=resources, constraints=pod_constraints(pod["spec"]))

    async def identity(self) -> Identity | None:
        """The directory's numeric user, whom the pod runs as."""
        return await self.directory_user()

    async def launch(self, permit: Permit) -> Any:
        """Make the pod, and return its URL once it is ready; as soon as it cannot become so, fail in its own words."""
        self.pod_name = launch_name(self._expand_user_properties(self.pod_name_template), permit.job.key, permit.launch)
        self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)
        self._start_future = self._fate = None
        if self.internal_ssl:
            await self._renew_certificates()
        try:
            async with self._inside_kubespawner():
                await self._end_earlier(permit)
                return await self._made(permit)
        except FAULTS as error:
            raise self._failure(error) from None

    async def _made(self, permit: Permit) -> Any:
        start = asyncio.ensure_future(super().launch(permit))
        fails = asyncio.ensure_future(self._fails())
        beside = [fails, asyncio.ensure_future(self._tell_events(permit))]
        try:
            await asyncio.wait([start, fails], return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                raise fails.result()
            return start.result()
        finally:
            for task in (start, *beside):
                task.cancel()
            await asyncio.gather(start, *beside, return_exceptions=True)

    async def poll_launch(self) -> int | None:
        """None while the pod lives, else the exit status of the notebook."""
        # KubeSpawner deletes a pod that has ended, and with it what tells how.
        self._fate = self._fate or pod_fate(self._pod() or {}, container=NOTEBOOK)
        try:
            async with self._inside_kubespawner():
                return await super().poll_launch()
        except FAULTS as error:
            self.log.warning("Pod %s has ended and is deleted later: %s", self.pod_name, said(error))
            return (self._fate.status or 1) if self._fate else None

    async def exit_status(self) -> int | None:
        """How the notebook ended; None: its pod was taken away, or gone before anybody looked."""
        return self._fate.status if self._fate else None

    def fate(self) -> Fate | None:
        """What became of its pod, as far as this Hub saw."""
        return self._fate

    async def end_launch(self, *, now: bool = False) -> None:
        """Delete the pod and wait until it is gone, for as long as `gone_timeout`.

        Whatever the cluster says to that: the queue holds the GPUs, and names the pod again until it is gone.
        """
        try:
            async with self._inside_kubespawner(), asyncio.timeout(self.gone_timeout):
                await super().end_launch(now=now)
        except FAULTS as error:
            words = "Pod %s is not known to be gone (%s); its GPUs are held until it is"
            self.log.warning(words, self.pod_name, said(error))

    async def stop(self, now: bool = False) -> None:
        """End the server; called by KubeSpawner itself, remove the pod only."""
        if _inside.get():
            await KubeSpawner.stop(self, now=now)
        else:
            await super().stop(now=now)

    async def _start_reflector(self, kind: str, reflector_class: Any, replace: bool = False, **more: Any) -> Any:
        """Follow pods and events in a way that outlives the API server."""
        known = self.__class__.reflectors.get(self._get_reflector_key(kind))
        if isinstance(known, SteadyReflector) and not replace:
            await known.listed()
        return await super()._start_reflector(kind, STEADY.get(reflector_class, reflector_class), replace, **more)

    async def _make_create_pod_request(self, pod: Any, request_timeout: float) -> bool:
        """Mark and pin the pod at the last moment: a hook of the site may have replaced its labels or its affinity."""
        pod = _copied(pod)  # this is called again with the same one when no answer came
        if self._permit is not None:
            labels = self._marks(self._permit)
            pod.metadata.labels = (pod.metadata.labels or {}) | labels
            annotations = notes(labels, user=self.user.name, server=self.name)
            pod.metadata.annotations = (pod.metadata.annotations or {}) | annotations
            self._pin(pod, self._permit.job.node)
        await self.prepare_folder(self._document(pod))
        secret = self._hide_token(pod) if self.token_in_secret else {}
        try:
            made: bool = await super()._make_create_pod_request(pod, request_timeout)
            if made and secret:
                await self._make_secret(pod, secret)
        except FAULTS as error:
            if not away(error):
                raise
            self.log.warning("The cluster does not make pod %s: %s", self.pod_name, said(error))
            return False  # it is asked again
        return made

    def _hide_token(self, pod: Any) -> dict[str, str]:
        """Take the token out of the pod; what its secret must hold."""
        found = hidden(self._document(pod), self.api_token, secret=secret_name(self.pod_name))
        if found.data:
            pod.spec.containers = found.containers["containers"]
            pod.spec.init_containers = found.containers.get("initContainers")
        return dict(found.data)

    async def _make_secret(self, pod: Any, data: dict[str, str]) -> None:
        """Make the pod's secret. Only now: it belongs to the pod, so that it goes with it whoever deletes it.

        The kubelet asks for it once the pod's volumes and network are there, which takes longer than this.
        """
        named = f"metadata.name={self.pod_name}"  # listed: the Hub need not have the right to get one
        found = await self._list(field_selector=named)
        if not found:
            raise LaunchFailed(f"the pod {self.pod_name} was deleted as soon as it was made")
        owner = {"name": self.pod_name, "uid": found[0].metadata.uid}
        secret = secret_manifest(secret_name(self.pod_name), data, owner=owner, labels=pod.metadata.labels or {})
        await exponential_backoff(
            lambda: self._create_secret(secret),
            f"the secret {secret['metadata']['name']} could not be made",
            timeout=self.k8s_api_request_retry_timeout,
        )

    async def _create_secret(self, secret: dict[str, Any]) -> bool:
        """Try once. KubeSpawner's own way would print the secret in the log when it is refused."""
        name = secret["metadata"]["name"]
        try:
            async with asyncio.timeout(self.k8s_api_request_timeout):
                await self.api.create_namespaced_secret(self.namespace, secret)
        except TimeoutError:
            return False
        except ApiException as error:
            if error.status != 409:
                if away(error):
                    return False
                raise LaunchFailed(f"the secret {name} could not be made: {said(error)}") from None
            # Of this very request, whose answer was lost, or of a pod of this name that is gone: made anew.
            await self.api.delete_namespaced_secret(name, self.namespace)
            return False
        return True

    def _marks(self, permit: Permit) -> dict[str, str]:
        return marks(permit.environment["GPUQUEUE_JOB"], permit.job.id)

    def _pin(self, pod: Any, node: str) -> None:
        api = self.api.api_client
        spec = api.sanitize_for_serialization(pod.spec)
        affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
        required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
        required["nodeSelectorTerms"] = pinned(required.get("nodeSelectorTerms") or (), node)
        pod.spec.affinity = spec["affinity"]

    def get_service_manifest(self, owner_reference: Any, port: int) -> Any:
        """KubeSpawner's, for this launch's pod only: an earlier one, on a node that died, has the same labels else."""
        service = super().get_service_manifest(owner_reference, port)
        if self._permit is not None:
            service.spec.selector = {**service.spec.selector, **self._marks(self._permit)}
        return service

    @default("ssl_alt_names")
    def _names_of_the_launch(self) -> Any:
        """KubeSpawner's, asked anew for each launch, whose pod has a name of its own."""
        return lambda _: super(GPUQueueKubeSpawner, self)._default_ssl_alt_names()

    async def _renew_certificates(self) -> None:
        """Make them for this launch: the Hub did so before the wait, and a person's servers share the files."""
        self.cert_paths = await maybe_future(self.move_certs(await maybe_future(self.create_certs())))

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
            pods = await self._list(label_selector=selector)
            if not pods or time.monotonic() > until:
                return
            for pod in pods:
                if pod.metadata.deletion_timestamp is None:
                    self.log.info("Deleting pod %s of an earlier launch", pod.metadata.name)
                    await self._make_delete_pod_request(pod.metadata.name, None, 0, self.k8s_api_request_timeout)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _list(self, **selector: str) -> list[Any]:
        """Pods as the API server has them now; asked again while it does not answer.

        :raises ApiException: it refuses.
        :raises LaunchFailed: it does not answer for longer than KubeSpawner would ask.
        """
        found: list[Any] = []

        async def answered() -> bool:
            limit = self.k8s_api_request_timeout
            try:
                found[:] = (
                    await self.api.list_namespaced_pod(self.namespace, **selector, _request_timeout=limit)
                ).items
            except FAULTS as error:
                if not away(error):
                    raise
                self.log.warning("The cluster does not list pods: %s", said(error))
                return False
            return True

        words, limit = "the cluster does not answer", self.k8s_api_request_retry_timeout
        try:
            await exponential_backoff(answered, words, timeout=limit)
        except TimeoutError:
            raise LaunchFailed(words, away=True) from None
        return found

    def _failure(self, error: BaseException) -> Exception:
        """What a launch that ended so says of it."""
        if isinstance(error, TimeoutError) and self._pod() is not None:
            return error  # the pod is there, and does not become ready
        if away(error):
            return LaunchFailed(f"the cluster does not answer: {said(error)}", away=True)
        return LaunchFailed(f"the cluster refused it: {said(error)}")

    def _pod(self) -> dict[str, Any] | None:
        """The pod as the cluster last told it."""
        pods: dict[str, Any] = self.pod_reflector.pods if self.pod_reflector else {}
        return pods.get(f"{self.namespace}/{self.pod_name}")

    async def _fails(self) -> LaunchFailed:
        """Return why the pod cannot start, if it comes to that."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            pod = self._pod()
            if pod is None:
                continue
            if (fate := pod_fate(pod)) and fate.cause is Cause.TAKEN:
                return LaunchFailed(fate.words, taken=True)
            if words := trouble(pod):
                return LaunchFailed(words)
            waits = {"placed": (unplaced(pod), UNPLACED_S), "ready": (unready(pod, self.events), self.mount_timeout)}
            for what, (words, limit) in waits.items():
                if not words:
                    since.pop(what, None)
                elif time.monotonic() - since.setdefault(what, time.monotonic()) > limit:
                    return LaunchFailed(words)

    async def _tell_events(self, permit: Permit) -> None:
        """Show what the cluster says of the pod while it starts."""
        async for event in KubeSpawner.progress(self):
            words = (event.get("raw_event") or {}).get("message")
            if words:
                self.queue_progress.show("launching", 75, " ".join(str(words).split())[:300], permit.job)


def _copied(pod: Any) -> Any:
    """A copy whose labels, containers and affinity can be set without a change to the original."""
    pod = copy.copy(pod)
    pod.metadata, pod.spec = copy.copy(pod.metadata), copy.copy(pod.spec)
    return pod


#: Also before the first spawner of a Hub is made.
QueueClient.clear = partial(clear, sections=GPUQueueKubeSpawner.section_names())

"""A Kubernetes cluster: its nodes, and the pods of jobs and of everybody else.

Knows what is asked when. What it means: cluster.py. How it is kept at hand: reflector.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from traitlets import Bool, Float, List, TraitError, Unicode, validate

from ...model import Node
from ...model.kept import Kept
from ...model.pods import INSTANCE, KEY
from ..base import Capacity, CapacityUnavailable, Observation
from .cluster import NOT_READY, Question, SeenNode, SeenPod, lost, observation, seen_node, seen_pod, shelf
from .cordons import patches
from .fates import Fates
from .reflector import Api, ApiError, Kind, Reflector


class KubernetesCapacity(Capacity):
    """The nodes of a cluster, given out by counting what every pod asks for.

    It lists and watches nodes and pods and does nothing else: pods are made and ended by the Hub's spawner. Which of a
    node's GPUs a pod gets is decided by its kubelet.
    """

    ends = False
    takes_away = True

    kubeconfig = Unicode(
        config=True,
        help="""
        File that says where the cluster is and how to log in. Unset: in a pod its service account, else the file that
        kubectl uses.

        .. versionadded:: 0.1
        """,
    )
    context = Unicode(
        config=True,
        help="""
        Name of the context to use in `kubeconfig`; unset: its current one.

        .. versionadded:: 0.1
        """,
    )
    max_age = Float(
        45.0,
        config=True,
        help="""
        Seconds that the cluster's last word may be old; after them nobody is admitted until it speaks again.

        In a quiet cluster there is a word every twenty seconds.

        .. versionadded:: 0.1
        """,
    )
    tolerated_taints = List(
        Unicode(),
        config=True,
        help="""
        Keys of taints to overlook. Of any other, a node is given only jobs whose pods say that they tolerate it.

        Name one where the cluster itself has every pod tolerate it, so that a pod as the Hub makes it does not say so:
        `nvidia.com/gpu` with the admission plugin ExtendedResourceToleration.

        .. versionadded:: 0.1
        """,
    )

    cordon_drained = Bool(
        False,
        config=True,
        help="""
        Whether a node that an admin drains in the queue is cordoned in the cluster too, and opened when it is taken
        back. It needs the right to patch nodes, and closes the node for everybody's pods.

        Who opens it with kubectl meanwhile has the last word; what somebody else cordoned stays so.

        .. versionadded:: 0.1
        """,
    )

    @validate("max_age")
    def _check_max_age(self, proposal: Any) -> Any:
        if not 25 <= proposal["value"] <= 3600:
            raise TraitError(f"KubernetesCapacity.max_age is {proposal['value']!r}; allowed is 25 to 3600 seconds")
        return proposal["value"]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._require_instance()
        self.api = self._api_server()
        self._nodes: Reflector[SeenNode] = Reflector(self.api, Kind.NODES, seen_node, changed=self._tell)
        self._pods: Reflector[SeenPod] = Reflector(
            self.api,
            Kind.PODS,
            self._read,
            shelf=partial(shelf, instance=self.instance),
            left=self._left,
            changed=self._tell,
        )
        self._fates = Fates(self.instance)
        self._kept: Kept[Question, Node] = Kept()
        self._following = False
        self._uncordoned = ""  # why drained nodes are not cordoned, in words
        self._lock = threading.Lock()

    def _api_server(self) -> Api:
        try:
            from .client import ApiServer  # a queue on one machine does without that library
        except ImportError as error:
            words = "needs a package that is not installed: pip install 'gpuqueue-spawner[kubernetes]'"
            raise TraitError(f"KubernetesCapacity {words} ({error})") from None
        return ApiServer(kubeconfig=self.kubeconfig, context=self.context)

    def _tell(self) -> None:
        self.changed()  # looked up anew each time: the manager sets it later

    def _read(self, document: Mapping[str, Any]) -> SeenPod:
        pod = seen_pod(document)
        self._fates.note(pod)
        return pod

    def _left(self, document: Mapping[str, Any]) -> None:
        self._fates.note(seen_pod(document, gone=True))

    def look(self) -> Observation:
        """What the cluster said last, if that is not too old.

        :raises CapacityUnavailable: it has not been listed yet, or has been silent for too long.
        """
        with self._lock:
            if not self._following:
                self._following = True
                self._nodes.start()
                self._pods.start()
        for each in (self._nodes, self._pods):
            if each.heard is None or time.monotonic() - each.heard > self.max_age:
                raise CapacityUnavailable(each.problem or "The cluster has not said anything for too long.")
        return observation(
            self._nodes.objects(),
            self._pods.shelves(),
            tolerated=self.tolerated_taints,
            fates=self._fates.known(),
            kept=self._kept,
        )

    def adopt(self, key: str, **claim: Any) -> bool:
        """No process of a pod names itself: its labels do."""
        return False

    def end(self, key: str, *, grace: float) -> bool:
        """Pods are ended by the Hub; returns whether none of the job's is left."""
        return self.gone(key)

    def gone(self, key: str) -> bool:
        """Ask the API server itself: what is at hand may be a moment old, and a pod may just have been made.

        One that is lost with its node is gone for its job; where it may run on, its GPUs are not given out.
        """
        try:
            found = self.api.get(Kind.PODS, label_selector=f"{INSTANCE}={self.instance},{KEY}={key}")
        except ApiError as error:
            raise CapacityUnavailable(error.sentence) from None
        pods = [seen_pod(each) for each in found.get("items") or ()]
        well = {node.name for node in self._nodes.objects() if node.closed != NOT_READY}
        return all(pod.ended or lost(pod, well) for pod in pods)

    def cordon(self, drained: Collection[str]) -> None:
        """Cordon what is drained and open what is no longer, where the configuration says so."""
        if not self.cordon_drained or self._nodes.heard is None:
            return
        problem = ""
        for name, patch in patches(self._nodes.objects(), drained, instance=self.instance).items():
            try:
                self.api.patch_node(name, patch)
            except ApiError as error:
                problem = error.sentence
        self._uncordoned = problem
        if problem:
            raise CapacityUnavailable(problem)

    def caution(self) -> str:
        """Drained nodes that the cluster did not close."""
        lead = "Drained nodes are not cordoned in the cluster, for which the manager needs the right to patch nodes."
        return f"{lead} {self._uncordoned}" if self._uncordoned else ""

    def environment(self, devices: tuple[str, ...]) -> dict[str, str]:
        """The kubelet says which GPUs they are."""
        return {}

    def about(self) -> str:
        """Where it looks."""
        return f"a Kubernetes cluster, by {self.kubeconfig or 'the service account of this pod or the kubeconfig'}"

"""Remembers what became of pods: a pod may be gone altogether before the manager looks, and with it what it said.

Knows records and no clock. What a pod says of its end: model/fates.py. Who reads pods: reflector.py.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from ...model import Fate
from .cluster import SeenPod

REMEMBERED = 1000  # pods of jobs; a manager that leads has acted within seconds


class Fates:
    """The first that was seen of each pod's end: what comes later is a consequence."""

    def __init__(self, instance: str, *, most: int = REMEMBERED) -> None:
        self._instance = instance  #: of this installation: the pods of others are others'
        self._most = most
        self._known: OrderedDict[tuple[str, int], Fate] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, pod: SeenPod) -> None:
        """Take over what a pod says, if it is a job's and on its way out."""
        if pod.fate is None or pod.instance != self._instance:
            return
        with self._lock:
            self._known.setdefault((pod.key, pod.launch), pod.fate)
            if len(self._known) > self._most:
                self._known.popitem(last=False)

    def known(self) -> dict[tuple[str, int], Fate]:
        """All that is remembered, by job key and launch."""
        with self._lock:
            return dict(self._known)

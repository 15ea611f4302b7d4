"""The Hub's side of the queue: a mixin that makes any spawner wait its turn, and the spawner for one machine.

Knows JupyterHub, KubeSpawner and the queue's HTTP address; not the manager, not its database. What sets a Hub up is
hub.py.
"""

from .errors import SpawnRefused
from .jobs import JobView, Permit
from .local import GPUQueueLocalSpawner
from .profiles import Wish
from .queueing import QueueingMixin
from .users import Identity

__all__ = ["GPUQueueLocalSpawner", "Identity", "JobView", "Permit", "QueueingMixin", "SpawnRefused", "Wish"]

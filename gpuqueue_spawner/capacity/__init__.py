"""What can be given out and what runs: nodes, GPUs, and the processes of each job.

Knows the machine and the nouns of `model`; no queue, no database, no network. All of it blocks: callers give it a
thread. Who asks: manager. The base class and its seams: base.py; this machine: local.py; a cluster: kubernetes/.
"""

from .base import Capacity, CapacityUnavailable, Mark, Observation, Pod, Process, Trace
from .kubernetes import KubernetesCapacity
from .local import LocalCapacity

__all__ = [
    "Capacity",
    "CapacityUnavailable",
    "KubernetesCapacity",
    "LocalCapacity",
    "Mark",
    "Observation",
    "Pod",
    "Process",
    "Trace",
]

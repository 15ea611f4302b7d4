"""A Kubernetes cluster as the place where jobs run. Needs the package `kubernetes`.

- `cluster` what nodes and pods mean, pure; `reflector` keeps them at hand; `client` asks the API server
- `capacity` what the manager is told
"""

from .capacity import KubernetesCapacity

__all__ = ["KubernetesCapacity"]

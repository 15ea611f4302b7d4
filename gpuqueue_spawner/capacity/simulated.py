"""GPUs that do not exist, for machines without any: they can be held, and nothing can use them.

Knows names only. Real ones: nvml.py.
"""

from __future__ import annotations

import uuid

from ..model import Device
from .devices import Gpu

_NAMES = uuid.UUID("6f1c2f0e-3c1d-4f5e-9a57-0d1f6b5a7c11")  # random; any fixed one makes the ids below stable


def gpus(*, node: str, count: int, model: str) -> tuple[Gpu, ...]:
    """So many GPUs, with ids that look like a driver's and are the same after every restart."""
    return tuple(
        Gpu(device=Device(id=f"GPU-{uuid.uuid5(_NAMES, f'{node}/{index}')}", index=index, model=model))
        for index in range(count)
    )

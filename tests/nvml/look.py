"""Looks at this machine once for each line it reads, and prints what it saw as one line of JSON.

A program of its own, as only a new process loads another driver library. "stuck": look in a thread that is left behind.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress

from gpuqueue_spawner.capacity import CapacityUnavailable, LocalCapacity

capacity = LocalCapacity(instance=sys.argv[1])


def look() -> dict[str, object]:
    """What the look told, or why it could not."""
    try:
        (node,) = capacity.look().nodes
        devices = [[device.id, device.index, device.model, device.foreign] for device in node.devices]
        return {"devices": devices, "gpus": node.allocatable.gpu_count, "about": capacity.about()}
    except CapacityUnavailable as error:
        return {"unavailable": error.words}


def quiet() -> None:
    """Look, and tell nobody."""
    with suppress(Exception):
        capacity.look()


for line in sys.stdin:
    if line.strip() == "stuck":
        threading.Thread(target=quiet, daemon=True).start()
        while not capacity._nvml._asking.locked():
            time.sleep(0.01)
    else:
        print(json.dumps(look()), flush=True)

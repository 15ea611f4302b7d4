"""Amounts as people read them.

Knows numbers and English. The sentences: reasons.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..model.pods import PODS
from ..model.resources import NVIDIA_GPU
from .amounts import MICRO, Amount

_KIB = 1024
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def cpus(micro: int, *, free: bool = False) -> str:
    """Word CPU cores: "8 CPUs", "1 free CPU"."""
    return f"{number(micro / MICRO)} {'free ' if free else ''}{'CPU' if micro == MICRO else 'CPUs'}"


def number(value: float) -> str:
    """Print a number without a needless fraction: "8", "0.5"."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def memory(amount: int, *, at_most: bool = False) -> str:
    """Word bytes, 1 GB = 1024 MB: "64 GB", "1.5 TB". `at_most`: rounded down, so that asking for it is possible."""
    power = min(len(_UNITS) - 1, (max(1, amount).bit_length() - 1) // 10)
    tenths = amount * 10 / _KIB**power
    return f"{number((math.floor(tenths) if at_most else math.ceil(tenths)) / 10)} {_UNITS[power]}"


def gpus(name: str, count: int, *, free: bool = False) -> str:
    """Word GPUs: "1 GPU", "4 free GPUs", with the resource name where it is not the usual one."""
    kind = "" if name == NVIDIA_GPU else f" ({name.removeprefix('nvidia.com/')})"
    return f"{count} {'free ' if free else ''}{'GPU' if count == 1 else 'GPUs'}{kind}"


def other(name: str, amount: int) -> str:
    """Word what is counted and no GPU: "1 place", "2 rdma/ib", "64 GB of ephemeral-storage"."""
    if name == PODS:
        return f"{amount} {'place' if amount == 1 else 'places'}"
    in_bytes = "/" not in name
    return f"{memory(amount)} of {name}" if in_bytes else f"{amount} {name}"


def everything(amount: Amount) -> str:
    """Word all of an amount: "4 GPUs, 16 CPUs and 64 GB of memory"."""
    return listing(
        [
            *(gpus(name, count) for name, count in amount.gpus),
            *([cpus(amount.cpus)] if amount.cpus else []),
            *([f"{memory(amount.memory)} of memory"] if amount.memory else []),
            *(other(name, count) for name, count in amount.others if name != PODS),
        ]
    )


def listing(parts: Iterable[str]) -> str:
    """Join with commas and one "and"."""
    *first, last = list(parts) or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last

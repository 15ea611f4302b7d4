"""Numbers as people read them: sizes, and besides them what model/numbers.py words.

Knows numbers and English. Points in time: moments.py. Words for states and ends: chips.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ...manager.decisions import IN_HUB
from ...model import Job, Resources
from ...model.numbers import any_moment, at_most, count, duration, ordinal, round_up
from ...model.resources import NVIDIA_GPU

__all__ = [
    "amount",
    "any_moment",
    "at_most",
    "by",
    "count",
    "cpus",
    "duration",
    "gpus",
    "gpus_together",
    "kind",
    "listing",
    "memory",
    "ordinal",
    "round_up",
    "size",
    "title",
]

_KIB = 1024


def by(name: str, *, reader: str = "", owner: str = "") -> str:
    """Word who did something: "by you", "by its owner", "by rbaker", "in JupyterHub"."""
    if name == IN_HUB:
        return f"in {name}"
    return f"by {'you' if name == reader else 'its owner' if name == owner else name}"


def listing(words: list[str]) -> str:
    """Join with commas and one "and": "0, 1 and 4"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def amount(number: float) -> str:
    """Print a number without a needless fraction: "8", "0.5"."""
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def cpus(number: float) -> str:
    """Word CPU cores: "8 CPUs"."""
    return f"{amount(number)} {'CPU' if number == 1 else 'CPUs'}"


def memory(number: int) -> str:
    """Word bytes as the Hub's settings count them, 1 GB = 1024 MB: "64 GB", "1.5 TB"."""
    value, unit = float(number), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{amount(round(value, 1))} {unit}"


def gpus(resources: Resources) -> str:
    """Word GPUs: "4 GPUs", with the resource name where it is not the usual one; empty for none."""
    return _by_kind(resources.gpus)


def gpus_together(several: Iterable[Resources]) -> str:
    """Word the GPUs of several jobs, each kind for itself; empty for none."""
    total: Counter[str] = Counter()
    for each in several:
        total.update(each.gpus)
    return _by_kind({name: total[name] for name in sorted(total)})


def _by_kind(numbers: Mapping[str, int]) -> str:
    return " and ".join(count(number, "GPU") + kind(name) for name, number in numbers.items())


def kind(resource: str) -> str:
    """Word what else a GPU is than the usual one, to stand behind it: " (mig-1g.10gb)"."""
    return "" if resource == NVIDIA_GPU else f" ({resource.removeprefix('nvidia.com/')})"


def size(resources: Resources) -> str:
    """Word the part that decides when a job starts: its GPUs, else its CPUs."""
    return gpus(resources) or cpus(resources.cpus)


def title(job: Job) -> str:
    """Call a job by the name its owner gave it, else by its server, else by its number."""
    return job.name or job.server or f"Notebook {job.id}"

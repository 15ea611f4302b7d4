"""Numbers as people read them: counts, places, sizes, durations.

Knows numbers and English. Points in time: moments.py. Words for states and ends: chips.py.
"""

from __future__ import annotations

import math

from ...model import Job, Resources
from ...model.resources import NVIDIA_GPU

MINUTE, HOUR, DAY = 60, 3600, 86400
STEP = 5 * MINUTE  #: estimates are rounded to this: a lease end is not known better
_KIB = 1024


def count(n: int, one: str, many: str = "") -> str:
    """Word a count: "1 job", "7 jobs"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def ordinal(n: int) -> str:
    """Word a place: "1st", "12th", "23rd"."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def listing(words: list[str]) -> str:
    """Join with commas and one "and": "0, 1 and 4"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def duration(seconds: float) -> str:
    """Word a length of time, in whole minutes, rounded down: "40 min", "1 h 22 min", "3 days 2 h"."""
    seconds = max(0.0, seconds)
    if seconds < MINUTE:
        return "under 1 min"
    days, hours, minutes = int(seconds // DAY), int(seconds % DAY // HOUR), int(seconds % HOUR // MINUTE)
    if days >= 2:
        parts = [count(days, "day"), f"{hours} h" if hours else ""]
    else:
        hours += days * 24
        parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join(filter(None, parts))


def at_most(seconds: float) -> str:
    """Word the longest that something should take, rounded up to five minutes: "about 1 h 25 min"."""
    return f"about {duration(round_up(seconds))}"


def round_up(at: float) -> float:
    """Round a time or a length of time up to five minutes."""
    return math.ceil(at / STEP) * STEP


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
    parts = []
    for name, number in resources.gpus.items():
        kind = "" if name == NVIDIA_GPU else f" ({name.removeprefix('nvidia.com/')})"
        parts.append(count(number, "GPU") + kind)
    return " and ".join(parts)


def size(resources: Resources) -> str:
    """Word the part that decides when a job starts: its GPUs, else its CPUs."""
    return gpus(resources) or cpus(resources.cpus)


def title(job: Job) -> str:
    """Call a job by the name its owner gave it, else by its server, else by its number."""
    return job.name or job.server or f"Notebook {job.id}"

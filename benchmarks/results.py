"""What was measured, as one small file a run: machine, commit, figures. Knows no benchmark."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """How times lie, in milliseconds."""
    ordered = sorted(1000 * each for each in seconds)
    return {
        "count": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p90_ms": round(quantile(ordered, 0.9), 1),
        "p99_ms": round(quantile(ordered, 0.99), 1),
        "max_ms": round(ordered[-1], 1),
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of them that `share` of them do not exceed: of 30, the 99th percentile is the largest."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def keep(what: str, figures: dict[str, Any], *, folder: Path = FOLDER) -> Path:
    """Write a run down, beside earlier ones of the day, and print it."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    text = json.dumps({"date": today, "machine": machine(), "commit": commit(), "figures": figures}, indent=2)
    folder.mkdir(exist_ok=True)
    names = itertools.chain([what], (f"{what}-{number}" for number in itertools.count(2)))
    path = next(path for name in names if not (path := folder / f"{today}-{name}.json").exists())
    path.write_text(text + "\n")
    print(f"{path.name}\n{text}", flush=True)
    return path


def machine() -> dict[str, Any]:
    """What it was measured on."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**20, 1),
        "load_before": round(LOAD, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def commit() -> str:
    """Of the project, with a mark where files differ from it."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=FOLDER.parent, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


LOAD = os.getloadavg()[0]  #: processes that ran or waited for a core in the last minute, before anything was started

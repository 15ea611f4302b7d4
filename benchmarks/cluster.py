"""The queue on a real Kubernetes, measured: `make bench`, or `python -m benchmarks.cluster PART...`.

Knows the parts and where their figures go. What each measures: README.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.services.kubernetes.cluster import Cluster, cluster
from tests.services.kubernetes.images import images

from . import scale, spawns, turns
from .api import Api, Watched
from .results import keep

TRACE = os.environ.get("GPUQUEUE_TRACE", "")


def main() -> None:
    """Bring a cluster up, measure, take it away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="spawns, turns-10, turns-5000, scale; all where none is named")
    parser.add_argument("--trace", default=TRACE, help="folder with alibaba_gpu_2023_{nodes,pods}.csv")
    given = parser.parse_args()
    parts: dict[str, Callable[[Cluster], dict[str, Any]]] = {
        "spawns": lambda it: spawns.measure(it, Watched(Api(it))),
        "turns-10": lambda it: turns.measure(it, Api(it), Watched(Api(it)), waiting=10),
        "turns-5000": lambda it: turns.measure(it, Api(it), Watched(Api(it)), waiting=5000),
        "scale": lambda it: scale.measure(it, Path(given.trace)),
    }
    if unknown := [name for name in given.parts if name not in parts]:
        parser.error(f"no such part: {' '.join(unknown)} (there are: {' '.join(parts)})")
    chosen = given.parts or [name for name in parts if name != "scale" or given.trace]
    if "scale" in chosen and not given.trace:
        parser.error("scale needs --trace, or the environment variable GPUQUEUE_TRACE")
    built = images()
    references = built.provide("notebook")
    for name in chosen:
        with cluster(built, references) as it:  # one a part: none finds what another left
            keep(name, parts[name](it))


if __name__ == "__main__":
    main()

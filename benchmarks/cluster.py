"""The queue on a real Kubernetes, measured: `make bench`, or `python -m benchmarks.cluster PART...`.

Knows the parts and where their figures go. What each measures: README.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.services.kubernetes.cluster import Cluster, cluster
from tests.services.kubernetes.images import images

from . import plans, scale, spawns, turns
from .api import Api, Watched
from .results import keep

TRACE = os.environ.get("GPUQUEUE_TRACE", "")
OF_TRACE = {"plans", "scale"}


def main() -> None:
    """Bring a cluster up, measure, take it away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="plans, spawns, turns-10, turns-5000, scale; all where none is named")
    parser.add_argument("--trace", default=TRACE, help="folder with alibaba_gpu_2023_{nodes,pods}.csv")
    given = parser.parse_args()
    parts: dict[str, Callable[[Cluster], dict[str, Any]]] = {
        "spawns": lambda it: spawns.measure(it, Watched(Api(it))),
        "turns-10": lambda it: turns.measure(it, Api(it), Watched(Api(it)), waiting=10),
        "turns-5000": lambda it: turns.measure(it, Api(it), Watched(Api(it)), waiting=5000),
        "scale": lambda it: scale.measure(it, Path(given.trace)),
    }
    without_cluster = {"plans": lambda: plans.measure(Path(given.trace))}
    names = [*without_cluster, *parts]
    if unknown := [name for name in given.parts if name not in names]:
        parser.error(f"no such part: {' '.join(unknown)} (there are: {' '.join(names)})")
    chosen = given.parts or [name for name in names if name not in OF_TRACE or given.trace]
    if {*chosen} & OF_TRACE and not given.trace:
        parser.error("plans and scale need --trace, or the environment variable GPUQUEUE_TRACE")
    for name in [name for name in chosen if name in without_cluster]:
        keep(name, without_cluster[name]())
    if in_cluster := [name for name in chosen if name in parts]:
        _in_cluster({name: parts[name] for name in in_cluster})


def _in_cluster(parts: Mapping[str, Callable[[Cluster], dict[str, Any]]]) -> None:
    built = images()
    references = built.provide("notebook")
    for name, measure in parts.items():
        with cluster(built, references) as it:  # one a part: none finds what another left
            keep(name, measure(it))


if __name__ == "__main__":
    main()

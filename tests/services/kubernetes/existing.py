"""A cluster that exists already, named by GPUQUEUE_TEST_KUBECONFIG; the tests neither start nor hurt it.

GPUQUEUE_TEST_IMAGES says where its nodes pull our images from: a pattern with {name} in it. `base` is a plain Debian.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from .cluster import Cluster
from .kubectl import Kubectl


def cluster(kubeconfig: Path, names: Iterable[str]) -> Cluster:
    """What can be asked of it."""
    pattern = os.environ.get("GPUQUEUE_TEST_IMAGES", "")
    assert "{name}" in pattern, (
        "GPUQUEUE_TEST_IMAGES must name the images of this cluster, with {name} for hub, proxy, ..."
    )
    kubectl = Kubectl(kubeconfig)
    server = kubectl("config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}")
    return Cluster(
        kubectl=kubectl, images={name: pattern.format(name=name) for name in ("base", *names)}, server=server
    )

"""People's folders on a cluster's share, as docs/howto/nfs.md has them: the claim, and the service that makes folders.

Knows that page's objects. The share itself: shares.py.
"""

from __future__ import annotations

from .kubectl import Kubectl
from .namespaces import TREE
from .rights import told
from .shares import Share

PAGE = TREE / "docs/howto/nfs.md"
NAME = "gpuqueue-homes"  #: of service and secret
CLAIM = "share"
UP_S = 60


def claim(there: Kubectl, share: Share, *, volume: str) -> None:
    """Bind the share to a claim of this namespace; `volume`: the name of what binds it, one in the cluster."""
    persistent = told("PersistentVolume", "gpuqueue-share", PAGE)
    persistent["metadata"]["name"] = volume
    persistent["spec"]["nfs"] = {"server": share.server, "path": share.export}
    persistent["spec"]["claimRef"]["namespace"] = there.namespace
    persistent["spec"].pop("mountOptions")  # of a kernel's client, which this one is not
    wanted = told("PersistentVolumeClaim", CLAIM, PAGE)
    wanted["metadata"]["namespace"] = there.namespace
    wanted["spec"]["volumeName"] = volume
    there.apply(persistent)
    there.apply(wanted)
    there.until("pvc", CLAIM, lambda found: found["status"].get("phase") == "Bound", within=30, what="is bound")


def serve(there: Kubectl, share: Share, folder: str, *, image: str, secret: str) -> None:
    """Run the service in this namespace, for this folder of the share."""
    there("create", "secret", "generic", NAME, f"--from-literal=homes={secret}")
    deployment = told("Deployment", NAME, PAGE)
    spec = deployment["spec"]["template"]["spec"]
    arguments = ["gpuqueue", "homes", f"--root=/share/{folder}", "--secret-file=/secret/homes"]
    spec["containers"][0] |= {"image": image, "imagePullPolicy": "Never", "args": arguments}
    spec["volumes"][0]["nfs"] = {"server": share.server, "path": share.export}
    there.apply(deployment, told("Service", NAME, PAGE))
    serves(there)


def serves(there: Kubectl) -> None:
    """Wait until it is ready."""
    there("rollout", "status", f"deployment/{NAME}", f"--timeout={UP_S}s")

"""What a notebook's pod mounts of a share, and the numeric user that it runs as.

Pure. Knows Kubernetes' JSON. Whose folder it is: users.py. Where the settings come from: folders.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .users import SMALLEST_GROUP, Identity

SHARE, HOME, SCRATCH = "gpuqueue-share", "gpuqueue-home", "gpuqueue-scratch"  #: names of volumes
_SHARE = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/\[\]]+)):(/\S*)")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One folder in the notebook's container."""

    volume: str
    at: str  #: path in the container
    folder: str = ""  #: below the volume's top; empty: all of it
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a pod is to mount besides what the site's own settings say."""

    volumes: tuple[Mapping[str, Any], ...] = ()  #: as in a pod's spec
    mounts: tuple[Mapping[str, Any], ...] = ()  #: as in a container


@dataclass(frozen=True, kw_only=True)
class Shares:
    """A site's share, as its settings say."""

    share: str = ""  #: SERVER:/EXPORT, mounted by the node
    claim: str = ""  #: name of a claim for the same
    home_claim: str = ""  #: name of the claim for one person's folder, where each has one
    homes: str = ""  #: folder of the share that holds a folder for each user
    home_at: str = "/home/jovyan"  #: in the container
    data_sets: Mapping[str, str] = field(default_factory=dict)  #: path in the container, by folder of the share
    scratch: str = ""  #: size of a folder that goes with the pod; empty: none
    scratch_at: str = "/scratch"


def address(share: str) -> tuple[str, str] | None:
    """Server and path of SERVER:/EXPORT; None: it is not such a text."""
    found = _SHARE.fullmatch(share)
    return (found[1] or found[2], found[3]) if found else None


def below(path: str) -> bool:
    """Whether this is a folder of a share, written so that it leads nowhere else."""
    return not path.startswith("/") and all(part not in ("", ".", "..") for part in path.split("/"))


def wanted(shares: Shares, *, folder: str) -> Wanted:
    """What somebody's pod mounts.

    :param folder: of that person among all.
    """
    volumes: list[Mapping[str, Any]] = []
    mounts: list[Mount] = []
    if shares.home_claim:
        volumes.append({"name": HOME, "persistentVolumeClaim": {"claimName": shares.home_claim}})
        mounts.append(Mount(volume=HOME, at=shares.home_at))
    if of_share := _of_share(shares, folder):
        volumes.append({"name": SHARE, **_source(shares)})
        mounts += of_share
    if shares.scratch:
        volumes.append({"name": SCRATCH, "emptyDir": {"sizeLimit": shares.scratch}})
        mounts.append(Mount(volume=SCRATCH, at=shares.scratch_at))
    return Wanted(volumes=tuple(volumes), mounts=tuple(map(_as_mount, mounts)))


def users_of(spec: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Container and numeric user, of every container of a pod that is given one."""
    pod = (spec.get("securityContext") or {}).get("runAsUser")
    for each in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        uid = (each.get("securityContext") or {}).get("runAsUser", pod)
        if uid is not None:
            yield each["name"], uid


def notebook_user(spec: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Numeric user and group that the notebook runs as; None: whatever its image says."""
    pod, own = spec.get("securityContext") or {}, spec["containers"][0].get("securityContext") or {}
    uid, gid = (own.get(name, pod.get(name)) for name in ("runAsUser", "runAsGroup"))
    return uid, gid


def folder_owner(uid: int, gid: int | None) -> tuple[int, int]:
    """Numeric user and group of a person's folder: no group of the system's, such as root's of images for any user."""
    return uid, uid if gid is None or gid < SMALLEST_GROUP else gid


def as_user(context: Mapping[str, Any] | None, who: Identity) -> dict[str, Any]:
    """A security context, of a pod or a container, that runs as this user."""
    return {**(context or {}), "runAsUser": who.uid, "runAsGroup": who.gid}


def _source(shares: Shares) -> dict[str, Any]:
    if shares.claim:
        return {"persistentVolumeClaim": {"claimName": shares.claim}}
    found = address(shares.share)
    assert found, "checked where it is set"
    return {"nfs": {"server": found[0], "path": found[1]}}


def _of_share(shares: Shares, folder: str) -> list[Mount]:
    """Folders of the share for all: none of it, where each person has a claim and there is no data."""
    if not (shares.share or shares.claim):
        return []
    home = Mount(volume=SHARE, at=shares.home_at, folder=f"{shares.homes}/{folder}" if shares.homes else folder)
    data = [Mount(volume=SHARE, at=at, folder=name, read_only=True) for name, at in sorted(shares.data_sets.items())]
    return data if shares.home_claim else [home, *data]


def _as_mount(mount: Mount) -> dict[str, Any]:
    document: dict[str, Any] = {"name": mount.volume, "mountPath": mount.at}
    if mount.folder:
        document["subPath"] = mount.folder
    if mount.read_only:
        document["readOnly"] = True
    return document

"""A volume for each person: one of the share's folders, kept for one claim. Which is used, made or refused.

Pure. Knows Kubernetes' JSON. Server and path are the service's own settings, never a request's. Who asks the cluster:
cluster.py. The claim itself is made by the Hub: spawner/claims.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .folders import InvalidFolder

KEYS = "gpuqueue.jupyter.org/"
CLAIM, FOLDER = f"{KEYS}claim", f"{KEYS}folder"  #: label and annotation of a volume
SIZE = "1Gi"  # must be there, in volume and claim alike; a share knows no such limit
MOST_RELEASED = 20  #: volumes of one claim that are of no more use
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(/\S*)")


class VolumesAway(Exception):
    """No volume now: the cluster does not answer or does not let us, in words."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where people's folders are, as their server exports them, and where their claims are."""

    server: str
    path: str  #: of the folder that holds a folder for each
    namespace: str  #: of the notebooks
    options: tuple[str, ...] = ()  #: of the mount


@dataclass(frozen=True, kw_only=True)
class Use:
    """This volume is the one."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Make:
    """It is not there yet."""

    volume: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Something is in the way."""

    reason: str


def read_place(address: str, *, namespace: str, options: Sequence[str]) -> Place:
    """Check the settings.

    :param address: SERVER:/PATH.
    :raises ValueError: they cannot be.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or ".." in found[2].split("/"):
        raise ValueError(f"--volumes is {address!r}; allowed is SERVER:/PATH")
    if not _NAME.fullmatch(namespace):
        raise ValueError(f"--namespace is {namespace!r}; allowed is the name of the notebooks' namespace")
    return Place(server=found[1].strip("[]"), path=found[2], namespace=namespace, options=tuple(options))


def read_claim(document: object, place: Place | None) -> str:
    """The claim that somebody's folder is wanted for; empty: none is.

    :param place: None: this service makes no volumes.
    :raises InvalidFolder: it cannot be.
    """
    given = document if isinstance(document, dict) else {}
    claim, namespace = given.get("claim"), given.get("namespace")
    if claim is None:
        return ""
    if place is None:
        raise InvalidFolder("claim", claim, "none, as this service makes no volumes (its option --volumes)")
    if not isinstance(claim, str) or not _NAME.fullmatch(claim):
        raise InvalidFolder("claim", claim, "at most 63 small letters, digits and dashes, with no dash at either end")
    if namespace != place.namespace:
        raise InvalidFolder("namespace", namespace, f"{place.namespace}, where this service's volumes are for")
    return claim


def choose(found: Iterable[Mapping[str, Any]], *, place: Place, folder: str, claim: str) -> Use | Make | Refuse:
    """Which volume a person's claim is to have.

    One whose claim was deleted stays bound to that claim for ever; only somebody with the right to change volumes could
    free it. The folder is none the worse: the next claim gets another volume of the same.

    :param found: every volume that is marked as of a claim of this name.
    """
    ours = {each["metadata"]["name"]: each for each in found if _claim_of(each) == (place.namespace, claim)}
    for each in sorted(ours.values(), key=lambda each: (_phase(each) != "Bound", each["metadata"]["name"])):
        if _phase(each) == "Released":
            continue
        if words := _differs(each, place, folder):
            return Refuse(reason=f"the volume {each['metadata']['name']} is of something else: {words}")
        return Use(name=each["metadata"]["name"])
    if len(ours) >= MOST_RELEASED:
        words = f"{len(ours)} volumes of the claim {claim} are left over from earlier ones"
        return Refuse(
            reason=f"{words}; an administrator deletes those whose status is Released, no file goes with them"
        )
    names = (volume_name(place.namespace, claim, number) for number in range(1, MOST_RELEASED + 1))
    return Make(volume=manifest(next(each for each in names if each not in ours), place, folder=folder, claim=claim))


def volume_name(namespace: str, claim: str, number: int = 1) -> str:
    """No two claims have one: neither part holds a dot."""
    return f"{namespace}.{claim}" + (f".{number}" if number > 1 else "")


def manifest(name: str, place: Place, *, folder: str, claim: str) -> dict[str, Any]:
    """The volume of a folder, for one claim and no other."""
    spec: dict[str, Any] = {
        "capacity": {"storage": SIZE},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": place.namespace, "name": claim},
        "nfs": {"server": place.server, "path": _path(place, folder)},
    }
    if place.options:
        spec["mountOptions"] = list(place.options)
    labels = {"app.kubernetes.io/part-of": "gpuqueue", "app.kubernetes.io/component": "home", CLAIM: claim}
    metadata = {"name": name, "labels": labels, "annotations": {FOLDER: folder}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def _differs(volume: Mapping[str, Any], place: Place, folder: str) -> str:
    """What makes it no volume of this folder's; options and the like an administrator may change."""
    spec = volume["spec"]
    source = {name: each for name, each in (spec.get("nfs") or {}).items() if each}
    wanted = {"server": place.server, "path": _path(place, folder)}
    if source != wanted:
        shown = f"{source.get('server')}:{source.get('path')}" if source.keys() >= wanted.keys() else "no folder of NFS"
        return f"it is {shown}, this is {place.server}:{wanted['path']}"
    if spec.get("storageClassName"):
        return f"it is of the storage class {spec['storageClassName']}"
    if "ReadWriteMany" not in (spec.get("accessModes") or ()):
        return "it is not for many nodes"
    return ""


def _path(place: Place, folder: str) -> str:
    return f"{place.path.rstrip('/')}/{folder}"


def _claim_of(volume: Mapping[str, Any]) -> tuple[str, str]:
    reference = volume["spec"].get("claimRef") or {}
    return reference.get("namespace", ""), reference.get("name", "")


def _phase(volume: Mapping[str, Any]) -> str:
    return str((volume.get("status") or {}).get("phase", ""))

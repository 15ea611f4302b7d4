"""A person's claim for the volume of their folder: its name, and what to do about the one that there is.

Knows Kubernetes' JSON and the API server's client. The volume is made by the service of folders: homes.py. Who wants
it: folders.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from kubernetes_asyncio.client import ApiException

from .apiserver import FAULTS, away, said
from .errors import LaunchFailed

SIZE = "1Gi"  # must be there, in claim and volume alike; a share knows no such limit
BOUND_S = 30.0  # the cluster binds a claim that names its volume within a second or two
LOOK_EVERY_S = 0.5
REQUEST_S = 5.0
MISSING, TAKEN = 404, 409  # HTTP: of the API server


class State(Enum):
    """What a claim is good for."""

    READY = "bound to the volume"
    WAITS = "not bound yet"
    ENDS = "being deleted, which takes until no notebook uses it"
    STALE = "of no more use"
    OTHER = "bound to another volume"


def claim_name(folder: str) -> str:
    """Of the claim for a folder: one that can be read, and by its end no other's, whatever is in people's names."""
    words = re.sub("[^a-z0-9]+", "-", folder.lower())[:30].strip("-")
    digest = hashlib.sha256(folder.encode()).hexdigest()[:16]
    return "-".join(filter(None, ("home", words, digest)))


def claim_manifest(name: str, *, volume: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A claim that takes this volume and no other."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": volume,
            "resources": {"requests": {"storage": SIZE}},
        },
    }


def state_of(claim: Mapping[str, Any], *, volume: str) -> State:
    """What there is of a claim that is to have this volume."""
    phase = (claim.get("status") or {}).get("phase")
    if claim["metadata"].get("deletionTimestamp"):
        return State.ENDS
    if phase == "Lost":
        return State.STALE  # its volume was deleted; it never gets another one
    if claim["spec"].get("volumeName") == volume:
        return State.READY if phase == "Bound" else State.WAITS
    return State.OTHER if phase == "Bound" else State.STALE


async def bind(api: Any, namespace: str, wanted: Mapping[str, Any], *, within: float = BOUND_S) -> None:
    """Return when a claim is there and bound to its volume. One that never will be is made anew.

    :param api: the cluster's client.
    :raises LaunchFailed: it cannot be had.
    """
    name, volume = wanted["metadata"]["name"], wanted["spec"]["volumeName"]
    last = "the cluster does not answer"
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    state = await _advance(api, namespace, wanted)
                    if state is State.READY:
                        return
                    last = f"it is {state.value}" if state else last
                except FAULTS as error:
                    if not away(error):
                        raise LaunchFailed(f"the claim {name} could not be made: {said(error)}") from None
                    last = said(error)
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise LaunchFailed(f"the claim {name} is not ready after {within:g} s: {last} (volume {volume})") from None


async def _advance(api: Any, namespace: str, wanted: Mapping[str, Any]) -> State | None:
    """Look once, and do what is next; None: it is to be looked at again."""
    name, volume = wanted["metadata"]["name"], wanted["spec"]["volumeName"]
    limit = {"_request_timeout": REQUEST_S}
    try:
        found = await api.read_namespaced_persistent_volume_claim(name, namespace, **limit)
    except ApiException as error:
        if error.status != MISSING:
            raise
        await _unless((TAKEN,), api.create_namespaced_persistent_volume_claim(namespace, wanted, **limit))
        return None
    state = state_of(api.api_client.sanitize_for_serialization(found), volume=volume)
    if state is State.OTHER:
        words = f"the claim {name} is of the volume {found.spec.volume_name}, not of {volume}"
        raise LaunchFailed(f"{words}; an administrator deletes the claim, or finds out whose it is")
    if state is State.STALE:
        # By its uid: another of this name may be there by now.
        options = {"preconditions": {"uid": found.metadata.uid}}
        await _unless(
            (MISSING, TAKEN), api.delete_namespaced_persistent_volume_claim(name, namespace, body=options, **limit)
        )
    return state


async def _unless(fine: tuple[int, ...], request: Any) -> None:
    """Await a request for which these statuses are as good as a yes: it is looked at again."""
    try:
        await request
    except ApiException as error:
        if error.status not in fine:
            raise

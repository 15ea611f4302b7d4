"""Makes people's volumes in a cluster: lists those there are and creates those there are not, and needs no other right.

Knows the API server, by the official client. Which volume is whose: volumes.py. Who asks: app.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio import client, config
from kubernetes_asyncio.client import ApiException

from .folders import FolderRefused
from .volumes import CLAIM, Make, Place, Refuse, Use, VolumesAway, choose

ANSWER_S = 5.0  # for all questions of one request; whoever asks this service waits 15 s, and the share has its own 10
TAKEN, INVALID = 409, 422  # HTTP: of the API server


class Volumes:
    """The volumes of one place. The cluster is found when first asked: in a pod by its account, else by KUBECONFIG."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._api: client.ApiClient | None = None

    async def make(self, folder: str, claim: str) -> str:
        """See to it that a folder has a volume for this claim; its name.

        :raises FolderRefused: another volume is in the way.
        :raises VolumesAway: it cannot be had now.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._make(folder, claim)
        except ApiException as error:
            if error.status == INVALID:
                raise FolderRefused(f"the cluster takes no such volume: {_said(error)}") from None
            raise VolumesAway(f"the cluster makes no volume: {_said(error)}") from None
        except (ClientError, OSError, config.ConfigException) as error:
            raise VolumesAway(f"the cluster does not answer: {str(error) or 'no answer in time'}") from None

    async def close(self) -> None:
        """End its connections."""
        if self._api is not None:
            await self._api.close()

    async def _make(self, folder: str, claim: str) -> str:
        for _ in range(2):  # somebody who asked for the same may be faster once
            choice = choose(await self._list(claim), place=self.place, folder=folder, claim=claim)
            match choice:
                case Use(name=name):
                    return name
                case Refuse(reason=reason):
                    raise FolderRefused(reason)
                case Make(volume=volume):
                    if await self._create(volume):
                        return str(volume["metadata"]["name"])
        raise FolderRefused(
            f"there is a volume {volume['metadata']['name']} that is not marked as of the claim {claim}"
        )

    async def _list(self, claim: str) -> list[Mapping[str, Any]]:
        api = await self._found()
        found = await client.CoreV1Api(api).list_persistent_volume(label_selector=f"{CLAIM}={claim}")
        document: dict[str, Any] = api.sanitize_for_serialization(found)
        return list(document["items"])

    async def _create(self, volume: Mapping[str, Any]) -> bool:
        """Whether it was made; False: there is one of this name."""
        try:
            core: Any = client.CoreV1Api(await self._found())  # which takes plain documents, too
            await core.create_persistent_volume(volume)
        except ApiException as error:
            if error.status == TAKEN:
                return False
            raise
        return True

    async def _found(self) -> client.ApiClient:
        if self._api is None:
            configuration = client.Configuration()
            if "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await config.load_kube_config(client_configuration=configuration)
            self._api = client.ApiClient(configuration)
        return self._api


def _said(error: ApiException) -> str:
    """The API server's own words."""
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)

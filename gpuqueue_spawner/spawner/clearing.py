"""Delete the pods that the queue says nobody wants any more: what a stop or a failed launch could not delete.

Knows labels, and how KubeSpawner finds its cluster. Which pods those are: manager/leftovers.py, which names them again
until they are gone. Over what: client.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import traitlets.log
from jupyterhub.app import JupyterHub
from kubespawner.clients import load_config, shared_client
from traitlets.config import Config

from ..model.pods import INSTANCE, KEY, LAUNCH
from .apiserver import FAULTS, said

REQUEST_S = 10.0


async def clear(pods: Sequence[Mapping[str, Any]], *, sections: Iterable[str]) -> None:
    """Ask the cluster once to delete the pods of these launches.

    :param sections: of the Hub's configuration, those that say where the cluster is.
    """
    log = traitlets.log.get_logger()
    try:
        api = _cluster(sections)
        for each in pods:
            await _clear(api, each, log)
    except FAULTS as error:
        log.warning("Pods that nobody wants any more are deleted later: %s", said(error))


async def _clear(api: Any, launch: Mapping[str, Any], log: Any) -> None:
    """By labels: a name alone could by now be another pod's."""
    namespace = str(launch["namespace"])
    marks = {INSTANCE: launch["instance"], KEY: launch["key"], LAUNCH: launch["launch"]}
    selector = ",".join(f"{name}={value}" for name, value in marks.items())
    async with asyncio.timeout(REQUEST_S):
        found = await api.list_namespaced_pod(namespace, label_selector=selector)
    for pod in found.items:
        if pod.metadata.deletion_timestamp is None:
            log.info("Deleting pod %s/%s, which nobody wants any more", namespace, pod.metadata.name)
            same = {"preconditions": {"uid": pod.metadata.uid}}
            async with asyncio.timeout(REQUEST_S):
                await api.delete_namespaced_pod(pod.metadata.name, namespace, body=same)


def _cluster(sections: Iterable[str]) -> Any:
    """KubeSpawner's client, also of a Hub that has made no spawner since its start."""
    site = JupyterHub.instance().config if JupyterHub.initialized() else Config()
    settings = Config()
    for each in sections:
        settings.merge(site.get(each, Config()))
    load_config(
        host=settings.get("k8s_api_host", ""),
        ssl_ca_cert=settings.get("k8s_api_ssl_ca_cert", ""),
        verify_ssl=settings.get("k8s_api_verify_ssl"),
    )
    return shared_client("CoreV1Api")

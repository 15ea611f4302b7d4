"""The API server over HTTP, with the official client's way to find it and to log in.

Knows addresses, certificates and tokens by that library alone. What is asked, and when: reflector.py.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from .login import login_of
from .reflector import CONNECT_S, SILENCE_S, ApiError, Kind

CHUNK = 1 << 16
MERGE_PATCH = "application/merge-patch+json"
FAULTS = (ApiException, ConfigException, HTTPError, OSError, ValueError)
Method = Callable[[client.CoreV1Api], Callable[..., Any]]
LISTS: Mapping[Kind, Method] = {
    Kind.NODES: lambda api: api.list_node,
    Kind.PODS: lambda api: api.list_pod_for_all_namespaces,
}
REFUSED = 401  # HTTP: who we say we are is not believed


class ApiServer:
    """One API server; in a pod by its service account, else by a kubeconfig. Found at the first question.

    Found anew after it did not answer or did not accept the login: a kubeconfig that was renewed needs no restart.
    """

    def __init__(self, *, kubeconfig: str = "", context: str = "") -> None:
        self._kubeconfig, self._context = kubeconfig, context
        self._lock = threading.Lock()
        self._api: client.CoreV1Api | None = None

    def get(self, kind: Kind, **query: Any) -> dict[str, Any]:
        """List once.

        :raises ApiError: it does not answer, or says no.
        """
        with self._answer(LISTS[kind], **query) as response:
            document: dict[str, Any] = json.loads(response.read())
            return document

    def patch_node(self, name: str, patch: Mapping[str, Any]) -> None:
        """Change a node by a JSON merge patch.

        :raises ApiError: it does not answer, or says no.
        """
        with self._answer(lambda api: api.patch_node, name=name, body=patch, _content_type=MERGE_PATCH):
            pass

    def lines(self, kind: Kind, **query: Any) -> Iterator[bytes]:
        """Follow a watch line by line.

        :raises ApiError: it does not answer, says no, or falls silent.
        """
        rest = b""
        with self._answer(LISTS[kind], **query) as response:
            for chunk in response.stream(CHUNK):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from filter(None, whole)

    @contextmanager
    def _answer(self, method: Method, **query: Any) -> Iterator[Any]:
        try:
            response = method(self._found())(**query, _preload_content=False, _request_timeout=(CONNECT_S, SILENCE_S))
            try:
                if response.status >= 400:
                    words = _message(response.read()) or response.reason
                    raise ApiError(self._explained(words, response.status), status=response.status)
                yield response
            finally:
                response.close()  # not used again: it may have been left in the middle
                response.release_conn()
        except FAULTS as error:
            status = getattr(error, "status", None) or 0
            raise ApiError(self._explained(said(error), status), status=status) from None

    def _explained(self, words: str, status: int) -> str:
        """Add what is known of a login that was refused, and look for the cluster anew with the next question."""
        if status not in (0, REFUSED):
            return words
        with self._lock:
            api, self._api = self._api, None
        return explained(words, api.api_client.configuration) if status == REFUSED and api else words

    def _found(self) -> client.CoreV1Api:
        with self._lock:
            if self._api is None:
                self._api = client.CoreV1Api(connect(self._kubeconfig, self._context))
            return self._api


def connect(kubeconfig: str, context: str) -> client.ApiClient:
    """Find a cluster; nothing is asked of it yet.

    :raises ApiError: what leads to it cannot be read.
    """
    configuration = client.Configuration()
    try:
        if not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=kubeconfig or None, context=context or None, client_configuration=configuration
            )
    except Exception as error:  # a file of the site's: the library lets through whatever its YAML raises
        words = " ".join(str(error).split())[:300]
        raise ApiError(f"how to reach it cannot be read ({words or repr(error)})") from None
    configuration.retries = False  # how often to try again is our decision
    return client.ApiClient(configuration)


def said(error: Exception) -> str:
    """The library's fault in words of one line."""
    body = getattr(error, "body", None)
    words = (_message(body) if body else "") or str(getattr(error, "reason", None) or error)
    return " ".join(words.split())[:300] or repr(error)


def explained(words: str, configuration: Any) -> str:
    """Why a login was refused, as far as what we log in with tells."""
    login = login_of(configuration)
    if login is None:
        return f"{words} (the kubeconfig names neither certificate nor token)"
    ended = login.ended(time.time())
    return f"{words} ({ended})" if ended else words


def _message(body: bytes | str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""

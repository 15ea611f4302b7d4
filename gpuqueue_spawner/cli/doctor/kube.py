"""The API server as a doctor asks it: once, bounded, with its clock. Knows paths by the official client alone.

What is asked, and what it means: cluster.py, probes.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from kubernetes import client

from ...capacity.kubernetes.client import FAULTS, REFUSED, connect, explained, said
from ...capacity.kubernetes.reflector import ApiError
from .clocks import now

LIMIT_S = 5.0

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back."""

    document: Document
    date: str  #: header; empty: none
    asked: float  #: Unix seconds of this machine
    answered: float


class Cluster:
    """One API server.

    :raises ApiError: how to reach it cannot be read.
    """

    def __init__(self, kubeconfig: str, context: str) -> None:
        self.api = connect(kubeconfig, context)
        self.core = client.CoreV1Api(self.api)
        self.networking = client.NetworkingV1Api(self.api)

    @property
    def address(self) -> str:
        """Where it is."""
        return str(self.api.configuration.host)

    def version(self) -> Reply:
        """What it is."""
        return self.ask(client.VersionApi(self.api).get_code)

    def user(self) -> str:
        """As whom we are logged in; empty: it does not say."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            told = self.ask(client.AuthenticationV1Api(self.api).create_self_subject_review, body).document
            return str(told["status"]["userInfo"]["username"])
        except (ApiError, KeyError):
            return ""

    def may(self, verb: str, resource: str) -> bool:
        """Whether we may do this everywhere. `resource` may have a part: pods/exec."""
        name, _, part = resource.partition("/")
        wanted = {"verb": verb, "resource": name, **({"subresource": part} if part else {})}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": wanted},
        }
        reply = self.ask(client.AuthorizationV1Api(self.api).create_self_subject_access_review, body)
        return bool(reply.document["status"]["allowed"])

    def ask(self, call: Callable[..., Any], *arguments: Any, **query: Any) -> Reply:
        """One question.

        :raises ApiError: it does not answer, or says no.
        """
        asked = now()
        try:
            response = call(*arguments, **query, _preload_content=False, _request_timeout=(LIMIT_S, LIMIT_S))
            body = response.read()
            status, date = response.status, response.headers.get("Date", "")
        except FAULTS as error:
            self._refuse(said(error), getattr(error, "status", None) or 0, _message(getattr(error, "body", None)))
        if status >= 400:
            self._refuse(str(response.reason), status, _message(body))
        return Reply(document=json.loads(body), date=date, asked=asked, answered=now())

    def _refuse(self, words: str, status: int, message: str) -> NoReturn:
        told = message or words
        raise ApiError(explained(told, self.api.configuration) if status == REFUSED else told, status=status) from None


def _message(body: Any) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""

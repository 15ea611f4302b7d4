"""What it means when the API server does not do what the Hub asked: nobody answered, or it said no.

Knows the client's exceptions and Kubernetes' statuses. Who asks: kubernetes.py, clearing.py.
"""

from __future__ import annotations

import json

from aiohttp import ClientError
from kubernetes_asyncio.client import ApiException

FAULTS = (ApiException, ClientError, TimeoutError)  #: all that a request can end with
BUSY = 429
BROKEN = 500  #: and above: it, or etcd behind it
WEBHOOK = "webhook"


def away(error: BaseException) -> bool:
    """Whether nobody was there to say yes or no, so that the same request may well succeed later."""
    if not isinstance(error, ApiException):
        return isinstance(error, FAULTS)
    if not error.status:
        return True
    # A webhook that fails on one pod, fails on it for ever: who is told so can do something about it.
    return error.status == BUSY or (error.status >= BROKEN and WEBHOOK not in said(error))


def said(error: BaseException) -> str:
    """The API server's own words, or those for the lack of any."""
    if not isinstance(error, ApiException):
        return str(error) or "no answer in time"
    try:
        return str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)

"""What we show a cluster to log in, and until when it is good: a client's certificate, or a token.

Knows their forms. It proves nothing: whether they are taken, only the API server says.
"""

from __future__ import annotations

import base64
import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Login:
    """One way to say who we are."""

    kind: str  #: in words
    ends: float | None  #: Unix seconds; None: it does not say

    def ended(self, now: float) -> str:
        """That it is over, in words; empty: it is not, or does not say."""
        return f"its {self.kind} ended on {day(self.ends)}" if self.ends is not None and self.ends <= now else ""


def login_of(configuration: Any) -> Login | None:
    """What a configuration of the official client logs in with; None: nothing."""
    for key in configuration.api_key.values():
        return Login(kind="token", ends=token_end(str(key).removeprefix("Bearer ")))
    if configuration.cert_file:
        return Login(kind="client certificate", ends=certificate_end(Path(configuration.cert_file)))
    return None


def token_end(token: str) -> float | None:
    """When a service account's token ends, by its own word; None: it is no such token, or does not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return None


def certificate_end(path: Path) -> float | None:
    """When a certificate ends; None: it cannot be read."""
    try:
        from cryptography import x509  # JupyterHub brings it; only words depend on it

        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    except (ImportError, OSError, ValueError):
        return None


def day(moment: float) -> str:
    """A moment in words."""
    return f"{datetime.datetime.fromtimestamp(moment, datetime.UTC):%Y-%m-%d %H:%M} UTC"

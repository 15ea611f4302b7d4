"""Until when a login is good, read off certificates and tokens."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpuqueue_spawner.capacity.kubernetes.client import explained
from gpuqueue_spawner.capacity.kubernetes.login import certificate_end, login_of, token_end
from tests.services.kubernetes.certificates import Authority


def token(**claims: Any) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in ({}, claims)]
    return ".".join([*parts, "signature"])


def configuration(**fields: Any) -> Any:
    return SimpleNamespace(**{"api_key": {}, "cert_file": None, **fields})


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        (token(exp=1_700_000_000), 1_700_000_000.0),
        (token(), None),
        (token(exp="soon"), None),
        ("opaque", None),
        ("a.b.c", None),
        ("", None),
    ],
)
def test_a_token_says_when_it_ends_or_nothing(text: str, ends: float | None) -> None:
    assert token_end(text) == ends


@pytest.mark.parametrize(("ended", "sign"), [(False, 1), (True, -1)])
def test_a_certificate_says_when_it_ends(ended: bool, sign: int, tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).issue("it", "somebody", ended=ended)

    ends = certificate_end(certificate)

    assert ends is not None
    assert (ends - certificate.stat().st_mtime) * sign > 0


def test_what_is_no_certificate_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("no certificate")

    assert certificate_end(tmp_path / "it") is None
    assert certificate_end(tmp_path / "nowhere") is None


def test_a_refused_login_is_explained_where_what_it_shows_has_ended(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path).issue("it", "somebody", ended=True)
    late = configuration(api_key={"BearerToken": f"Bearer {token(exp=1_700_000_000)}"})

    assert explained("Unauthorized", late) == "Unauthorized (its token ended on 2023-11-14 22:13 UTC)"
    assert "its client certificate ended on" in explained("Unauthorized", configuration(cert_file=str(certificate)))
    assert explained("Unauthorized", configuration(api_key={"a": "opaque"})) == "Unauthorized"
    assert "neither certificate nor token" in explained("Unauthorized", configuration())
    assert login_of(configuration()) is None

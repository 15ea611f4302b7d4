"""Whose certificate the directory shows, as the guide has it looked at: with a real directory that takes StartTLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuqueue_spawner.auth import GPUQueueLDAPAuthenticator, LoginRefused
from gpuqueue_spawner.cli.directory import group, person
from tests.services.kubernetes.certificates import Authority
from tests.services.slapd import GROUPS, PEOPLE, Slapd, slapd

ENTRIES = [person("alice", "alice's password", uidNumber=10001, gidNumber=10001), group("DGX-Users", ["alice"])]


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that vouches for the directory."""
    return Authority(tmp_path_factory.mktemp("campus"))


@pytest.fixture(scope="module")
def directory(campus: Authority) -> Iterator[Slapd]:
    """Its certificate names `localhost` and nothing else."""
    with slapd(*ENTRIES, pair=campus.issue("ldap", "localhost", addresses=["localhost"])) as it:
        yield it


async def login(directory: Slapd, **settings: Any) -> Any:
    """What the Hub is told of alice."""
    authenticator = GPUQueueLDAPAuthenticator(
        server_address=settings.pop("address", "localhost"),
        server_port=directory.port,
        tls_strategy="before_bind",
        bind_dn_template=[f"uid={{username}},{PEOPLE}"],
        allowed_groups=[f"cn=DGX-Users,{GROUPS}"],
        **settings,
    )
    return await authenticator.get_authenticated_user(None, {"username": "alice", "password": "alice's password"})


def looked_at(ca: Path) -> dict[str, Any]:
    """The guide's setting."""
    return {"ca_certs_file": str(ca)}


async def test_a_directory_that_the_campus_vouches_for_is_asked(directory: Slapd, campus: Authority) -> None:
    found = await login(directory, tls_kwargs=looked_at(campus.ca))

    assert found["name"] == "alice"


async def test_a_directory_that_nobody_vouches_for_is_told_nothing(directory: Slapd, tmp_path: Path) -> None:
    """Somebody in between would show such a certificate; no password goes there."""
    with pytest.raises(LoginRefused) as refused:
        await login(directory, tls_kwargs=looked_at(Authority(tmp_path).ca))

    assert refused.value.status_code == 503
    assert "cannot be reached" in refused.value.jupyterhub_message


async def test_a_certificate_for_another_name_is_told_nothing(directory: Slapd, campus: Authority) -> None:
    with pytest.raises(LoginRefused) as refused:
        await login(directory, address="127.0.0.1", tls_kwargs=looked_at(campus.ca))

    assert refused.value.status_code == 503


async def test_without_an_authority_those_of_the_machine_count(directory: Slapd) -> None:
    """The campus's own is not among them; LDAPAuthenticator itself would take any certificate."""
    with pytest.raises(LoginRefused) as refused:
        await login(directory)

    assert refused.value.status_code == 503


async def test_whoever_does_not_want_a_look_says_so(directory: Slapd) -> None:
    assert (await login(directory, tls_kwargs={"validate": ssl.CERT_NONE}))["name"] == "alice"

"""Certificates of a cluster: one authority, and a key pair for whoever speaks. Names and groups are Kubernetes' own, so
that its authorizers stay on. Knows no cluster; who gets which: control.py, nodes.py."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=30)
_HOUR = datetime.timedelta(hours=1)


class Authority:
    """One certificate authority, its files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gpuqueue tests")])
        # Python 3.13 refuses an authority without key usage, and certificates without key identifiers.
        builder = (
            self._builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        )
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(_pem(self.certificate))
        _write_key(folder / "ca.key", self._key)
        self.service_accounts = folder / "service-accounts.key"
        _write_key(self.service_accounts, rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def issue(
        self, file: str, name: str, *, group: str = "", addresses: Sequence[str] = (), ended: bool = False
    ) -> tuple[Path, Path]:
        """A certificate for a user, and for a server where there are addresses; returns certificate and key.

        :param ended: one that was good until an hour ago.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            self._builder(subject, self.certificate.subject, key.public_key(), life=-_HOUR if ended else _LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(issuer, critical=False)
        )
        if addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_alternative, addresses)), critical=False)
        certificate, private = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        _write_key(private, key)
        return certificate, private

    def kubeconfig(self, file: str, name: str, server: str, *, group: str = "", ended: bool = False) -> Path:
        """A kubeconfig with a certificate of its own in it; YAML may be JSON."""
        certificate, key = self.issue(file, name, group=group, ended=ended)
        path = self.folder / f"{file}.kubeconfig"
        user = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
        cluster = {"server": server, "certificate-authority-data": _base64(self.ca)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": user}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "current-context": "tests",
        }
        path.write_text(json.dumps(content))
        path.chmod(0o600)
        return path

    @staticmethod
    def _builder(
        subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, life: datetime.timedelta = _LIFE
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _usage(**granted: bool) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    every += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every})


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()

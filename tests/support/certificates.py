"""Certificates for tests: an authority of its own, and what it signs, for 127.0.0.1 and localhost.

Contract: `Authority.issue` writes NAME.crt and NAME.key into the folder, each replaced in one step as a mounted secret is;
issued again under the same name, both are new.
"""

import datetime
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM


class Authority:
    """A CA whose certificate is in `ca`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._key = folder, _name(name), ec.generate_private_key(ec.SECP256R1())
        usage = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key.public_key()).add_extension(usage, critical=True)
        self.ca = folder / f"{name}.crt"
        _write(self.ca, builder.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def issue(
        self, name: str = "server", *, hosts: tuple[str, ...] = ("localhost", "127.0.0.1"), days: int = 1
    ) -> tuple[Path, Path]:
        """Files of a certificate and its key. days: from now on; negative: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        signed = _builder(_name(name), self._name, key.public_key(), days).add_extension(names, critical=False)
        certificate, private = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        plain = serialization.NoEncryption()
        _write(private, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
        _write(certificate, signed.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        return certificate, private

    def settings(self, name: str = "server", *, mutual: bool = False) -> Mapping[str, str]:
        """SHELM_* variables of services that all have this certificate."""
        certificate, key = self.issue(name)
        own = {"SHELM_TLS_CERT": str(certificate), "SHELM_TLS_KEY": str(key), "SHELM_BACKEND_CA": str(self.ca)}
        return own | ({"SHELM_TLS_CLIENT_CA": str(self.ca)} if mutual else {})


def serial(pem: bytes) -> int:
    """The number by which certificates of one authority differ."""
    return x509.load_pem_x509_certificate(pem).serial_number


def with_password(key: Path) -> None:
    """Encrypts a key file."""
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    hidden = serialization.BestAvailableEncryption(b"word")
    _write(key, private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, hidden))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 1
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    start = now - datetime.timedelta(days=10)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    os.replace(new, path)

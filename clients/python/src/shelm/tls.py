"""TLS of the connection: what `tls=` may be, and the credentials of gRPC that it means.

Contract: False is no encryption; True checks the server's certificate against the public root certificates, a path against
those in that file; a triple (ca, cert, key) of paths also shows the server a certificate of the client's, where a `ca` of
None or True stands for the public ones. Failure policy: what cannot be used raises InvalidArgument when the client is made.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Any, Union

import grpc

from shelm.boundary import invalid
from shelm.errors import InvalidArgument

Path = Union[str, "os.PathLike[str]"]
Tls = Union[bool, Path, Sequence[Union[Path, bool, None]]]
EXPECTED = "expected True, the path of a CA file, or the paths (ca, cert, key)"


def credentials_of(tls: Tls) -> grpc.ChannelCredentials | None:
    """Returns the credentials of a channel, None for one that is not encrypted; raises InvalidArgument."""
    if tls is False or tls is None:
        return None
    ca, certificate, key = _paths(tls)
    for path in (ca, certificate):
        if path is not None:
            _check_certificates(path)
    if certificate is not None and key is not None:
        _check_key(certificate, key)
    pems = [None if path is None else _content(path) for path in (ca, key, certificate)]
    return grpc.ssl_channel_credentials(*pems)


def _paths(tls: Any) -> tuple[Path | None, Path | None, Path | None]:
    if tls is True:
        return None, None, None
    if isinstance(tls, (str, os.PathLike)):
        return tls, None, None
    if isinstance(tls, Sequence) and len(tls) == 3 and all(isinstance(one, (str, os.PathLike)) for one in tls[1:]):
        ca, certificate, key = tls
        if ca is None or ca is True or isinstance(ca, (str, os.PathLike)):
            return (None if ca is None or ca is True else ca), certificate, key
    raise invalid("tls", f"{EXPECTED}, given {tls!r}")


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _wrong(path, error.strerror or str(error)) from None


def _check_certificates(path: Path) -> None:
    content = _content(path)
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise _wrong(path, "holds no certificate in PEM") from None


def _check_key(certificate: Path, key: Path) -> None:
    _content(key)
    try:  # a password is never asked for on the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:  # of which SSLError is one
        other = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        why = f"is not the key of {os.fspath(certificate)}" if other else "holds no private key in PEM without a password"
        raise _wrong(key, why) from None


def _wrong(path: Path, why: str) -> InvalidArgument:
    return invalid("tls", f"{os.fspath(path)}: {why}")

"""Failures of TLS, as gRPC reports them: inside the details of an UNAVAILABLE, in the words of the library that does TLS.

Contract: `handshake_error` knows these texts and gives each an error that says which side does not accept what, and what to
change. What only another setting can mend is not retried.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import grpc

from shelm.errors import TlsError, Unavailable


class Problem(NamedTuple):
    """Signs in the details, as regular expressions, and what they mean."""

    signs: tuple[str, ...]
    meaning: str
    advice: str
    retryable: bool = False


OWN = "give the CA certificates that have signed it: tls=FILE, --tls-ca FILE"
SHOWN = "show it one that the server's SHELM_TLS_CLIENT_CA has signed: tls=(ca, cert, key), --tls-cert and --tls-key"
PROBLEMS = (
    Problem(("certificate has expired",), "shows a certificate that has expired", "renew the certificate of the server"),
    Problem(("CERTIFICATE_VERIFY_FAILED", "BAD_SIGNATURE"), "shows a certificate of no CA that the client trusts", OWN),
    Problem(
        ("Hostname Verification", "not in peer certificate"),
        "shows a certificate that is for another host",
        "use a host name of the certificate as the target, or issue one for this name",
    ),
    Problem(("WRONG_VERSION_NUMBER",), "speaks without TLS", "leave tls= (--tls) away, or check the port"),
    Problem(("ALERT_", "CERTIFICATE_REQUIRED"), "does not accept the client's certificate, or the lack of one", SHOWN),
    Problem(
        ("last error: .*(Socket closed|Connection reset|Broken pipe|SETTINGS frame)",),
        "closes new connections before it answers",
        f"if it goes on: a server with TLS needs tls= (--tls); one that asks for a certificate, {SHOWN}",
        retryable=True,
    ),
)


def handshake_error(code: grpc.StatusCode, details: str, *, target: str) -> Unavailable | None:
    """Returns the error for a failed handshake, None if it does not look like one."""
    if code is not grpc.StatusCode.UNAVAILABLE:
        return None
    for signs, meaning, advice, retryable in PROBLEMS:
        if any(re.search(sign, details) for sign in signs):
            kind = Unavailable if retryable else TlsError
            return kind(f"no connection: {target} {meaning}", code=code, advice=advice, retryable=retryable)
    return None

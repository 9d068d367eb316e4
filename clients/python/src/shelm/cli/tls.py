"""The arguments `--tls`, `--tls-ca`, `--tls-cert`, `--tls-key` of the programs, and the `tls=` that they mean."""

from __future__ import annotations

import argparse

from shelm.boundary import invalid
from shelm.tls import Tls


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--tls", action="store_true", help="encrypt the connection; without it, tokens are sent in clear text"
    )
    parser.add_argument(
        "--tls-ca", metavar="FILE", help="CA certificates that the server's must be signed by (asks for TLS by itself)"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate to show to the server (asks for TLS by itself)")
    parser.add_argument("--tls-key", metavar="FILE", help="the private key of that certificate")


def tls_of(arguments: argparse.Namespace) -> Tls:
    """Returns `tls=` of the client; each of the files asks for TLS by itself. Raises InvalidArgument for half a pair."""
    ca, certificate, key = arguments.tls_ca, arguments.tls_cert, arguments.tls_key
    if bool(certificate) != bool(key):
        raise invalid("tls", "--tls-cert and --tls-key belong together")
    if certificate:
        return (ca, certificate, key)
    return ca or bool(arguments.tls)

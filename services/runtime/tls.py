"""TLS from files in PEM, which are read again when they change: of servers that listen, and of connections to others.

Contract: `TlsFiles.now` gives what the files hold now; the certificate of a handshake is that of its time, and connections
that stand go on. The files are looked at once a second at most. One file after the other may be replaced: as long as they do
not belong together, those before stay in use.

Failure policy: files that cannot be used raise CannotStart at the first reading, one line that begins with the variable's
name; later they are logged, once for each change, and what was read before stays in use.
"""

import logging
import os
import ssl
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

import grpc

from services.runtime.checks import CannotStart

log = logging.getLogger(__name__)
LOOK_EVERY = 1.0  # seconds
SERVER = {"certificate": "SHELM_TLS_CERT", "key": "SHELM_TLS_KEY", "authority": "SHELM_TLS_CLIENT_CA"}
CLIENT = {**SERVER, "authority": "SHELM_BACKEND_CA"}
Stamp = tuple[int, int, int] | None


class Pems(NamedTuple):
    """What the files hold; empty where there is none."""

    certificate: bytes = b""
    key: bytes = b""
    authority: bytes = b""


class TlsFiles:
    """A certificate with its key, the certificates of who signs the other side's, or both."""

    def __init__(self, variables: Mapping[str, str], *, certificate: str = "", key: str = "", authority: str = "") -> None:
        """Names of files, empty for none, and the variables that name them. CannotStart."""
        self.certificate, self.key, self.authority = certificate, key, authority
        self._variables = variables
        self._lock = threading.Lock()  # gRPC asks from threads of its own
        self._seen, self._next = self._stamps(), time.monotonic() + LOOK_EVERY
        self._pems = self._read()

    def now(self) -> Pems:
        """What the files hold; the same object as before where nothing has changed."""
        with self._lock:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + LOOK_EVERY
                if (stamps := self._stamps()) != self._seen:
                    self._seen = stamps
                    self._read_again()
            return self._pems

    def _read_again(self) -> None:
        try:
            self._pems = self._read()
        except CannotStart as error:
            log.error("the certificate before stays in use: %s", error)
        else:
            log.info("the certificate was read again: %s", self.certificate or self.authority)

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(map(_stamp, (self.certificate, self.key, self.authority)))

    def _read(self) -> Pems:
        pems = Pems(self._content("certificate"), self._content("key"), self._content("authority"))
        for name in ("certificate", "authority"):
            if pem := getattr(pems, name):
                self._check_certificates(name, pem)
        if self.certificate:
            self._check_key()
        return pems

    def _content(self, name: str) -> bytes:
        path = getattr(self, name)
        try:
            with open(path, "rb") if path else open(os.devnull, "rb") as file:
                content = file.read()
        except OSError as error:
            raise self._wrong(name, error.strerror or str(error)) from None
        if path and not content:
            raise self._wrong(name, "the file is empty")
        return content

    def _check_certificates(self, name: str, pem: bytes) -> None:
        try:
            ssl.create_default_context(cadata=pem.decode("ascii", "ignore"))
        except ssl.SSLError:
            raise self._wrong(name, "holds no certificate in PEM") from None

    def _check_key(self) -> None:
        try:  # a password is never asked for on the terminal
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except OSError as error:  # of which SSLError is one
            reason = getattr(error, "reason", "")
            other = "is not the key of the certificate in " + self._variables["certificate"]
            wrong = other if reason == "KEY_VALUES_MISMATCH" else "holds no private key in PEM without a password"
            raise self._wrong("key", wrong) from None

    def _wrong(self, name: str, why: str) -> CannotStart:
        return CannotStart(f"{self._variables[name]}: {getattr(self, name)}: {why}")


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """For a server of gRPC, which asks at each handshake. With an authority, clients need one of its certificates."""
    given = files.now()

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(given.key, given.certificate)], given.authority or None)

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        if (pems := files.now()) is given:
            return None
        given = pems
        return configuration()

    return grpc.dynamic_ssl_server_credentials(configuration(), changed, bool(files.authority))  # type: ignore[arg-type]  # its stubs know no "unchanged"


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """The same for a server of another kind: each handshake gets a context with what the files hold then."""
    given, latest = files.now(), _server_context(files)

    def at_handshake(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal given, latest
        if (pems := files.now()) is not given:
            try:
                given, latest = pems, _server_context(files)
            except OSError as error:  # changed once more since it was read
                log.warning("the certificate before stays in use: %s", error)
        connection.context = latest

    context = _server_context(files)
    context.sni_callback = at_handshake  # called whether or not the client sends a name
    return context


def _server_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    if files.authority:
        context.load_verify_locations(files.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None

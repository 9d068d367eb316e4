"""What a server can see to be wrong before it loads a model: tokens and addresses.

Failure policy: `CannotStart`, one line that begins with the variable's name; `CannotListen` where starting again later may
succeed.
"""

import socket

from services.runtime.auth import is_loopback
from services.runtime.tokens import TokensFile


class CannotStart(RuntimeError):  # noqa: N818
    """The server cannot start; the text says what to change."""


class CannotListen(CannotStart):
    """The address is in use. Unlike with a wrong setting, starting again later may succeed."""


def tokens_in(file: str) -> TokensFile:
    """The tokens of SHELM_TOKENS_FILE, none where it is empty."""
    try:
        return TokensFile(file)
    except (OSError, ValueError) as error:
        raise CannotStart(f"SHELM_TOKENS_FILE: {error}") from None


def check_private(variable: str, listen: str) -> None:
    """Raises CannotStart if an address without tokens can be reached from other machines."""
    if not is_loopback(listen):
        raise CannotStart(
            f"{variable}: refusing to listen on {listen} without tokens: anyone could act and read memories. "
            "Set SHELM_TOKENS_FILE, or SHELM_ALLOW_ANONYMOUS=true if the network is closed"
        )


def check_encrypted(variable: str, listen: str) -> None:
    """Raises CannotStart if an address without TLS can be reached from other machines."""
    if not is_loopback(listen):
        raise CannotStart(
            f"{variable}: refusing to listen on {listen} without TLS: tokens and frames could be read on the way. "
            "Set SHELM_TLS_CERT and SHELM_TLS_KEY, or SHELM_ALLOW_PLAINTEXT=true if a proxy in front "
            "encrypts or the network is closed"
        )


def check_free(variable: str, listen: str) -> None:
    """Raises CannotListen if nothing can listen on HOST:PORT now."""
    host, _, port = listen.rpartition(":")
    if host.startswith("unix"):
        return
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise cannot_listen(variable, listen, error.strerror or str(error)) from None


def cannot_listen(variable: str, listen: str, why: str) -> CannotListen:
    """The error about an address."""
    return CannotListen(f"{variable}={listen}: cannot listen: {why}")

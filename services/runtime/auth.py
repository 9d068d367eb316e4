"""Bearer tokens with scopes, from a file.

A line is `TOKEN [NAME [SCOPES]]`, scopes separated by commas (default: all); `#` begins a comment. Tokens are
compared in constant time. Failure policy: no or an unknown token gives UNAUTHENTICATED, a token without the scope
PERMISSION_DENIED; an unreadable or empty file stops the start.
"""

import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.runtime.errors import ServiceError

SCOPES = frozenset({"act", "read", "admin"})


@dataclass(frozen=True)
class Token:
    """One line of the file."""

    secret: str
    name: str
    scopes: frozenset[str]


def read_tokens(path: Path) -> tuple[Token, ...]:
    """All tokens of a file; ValueError names the line that is wrong, OSError the file."""
    tokens = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        parts = line.partition("#")[0].split()
        if not parts:
            continue
        scopes = frozenset(parts[2].split(",")) if len(parts) > 2 else SCOPES
        if unknown := scopes - SCOPES:
            raise ValueError(f"{path}:{number}: unknown scope {sorted(unknown)[0]!r}, expected {', '.join(sorted(SCOPES))}")
        tokens.append(Token(parts[0], parts[1] if len(parts) > 1 else f"line {number}", scopes))
    if not tokens:
        raise ValueError(f"{path}: holds no token")
    return tuple(tokens)


def authorize(tokens: tuple[Token, ...], authorization: str, scope: str) -> Token:
    """The token of an `authorization` header, if it has the scope."""
    given = authorization.removeprefix("Bearer ").encode()
    # Every token is compared, so that the time says nothing about which one matched.
    matches = [token for token in tokens if hmac.compare_digest(token.secret.encode(), given)]
    if not authorization.startswith("Bearer ") or not matches:
        text = "no valid bearer token; send metadata `authorization: Bearer TOKEN`"
        raise ServiceError(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", text)
    if scope not in matches[0].scopes and "admin" not in matches[0].scopes:
        text = f"the token {matches[0].name!r} lacks the scope {scope!r}"
        raise ServiceError(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", text, metadata={"scope": scope})
    return matches[0]


def is_loopback(listen: str) -> bool:
    """Whether HOST:PORT can be reached from this machine alone."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost" or listen.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

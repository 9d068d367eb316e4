"""Who calls: a bearer token for each call, and the caller as the code behind the guard sees it.

Contract: tokens are compared in constant time. Failure policy: no or an unknown token gives UNAUTHENTICATED, a token without
the scope PERMISSION_DENIED.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from contextvars import ContextVar

import grpc

from services.runtime.errors import ServiceError
from services.runtime.tokens import DEFAULT_SCOPES, Token

ANYBODY = Token("", "anybody", DEFAULT_SCOPES)  # who calls where no token is needed
_caller: ContextVar[Token] = ContextVar("caller", default=ANYBODY)


def caller() -> Token:
    """Whose call is under way."""
    return _caller.get()


def set_caller(token: Token) -> None:
    """From now on, in this task and those that it makes, this token calls."""
    _caller.set(token)


def account() -> str:
    """Whose limits hold for the call: a tenant's, together for all its tokens, or those of a token without tenant."""
    token = caller()
    return token.end or token.name


def in_own_words(error: ServiceError) -> ServiceError:
    """An error about episodes, with their names as the caller writes them: without its tenant, which ends them in full."""
    end = caller().end
    if not end or end not in error.message + "".join(error.metadata.values()):
        return error
    metadata = {key: value.replace(end, "") for key, value in error.metadata.items()}
    return ServiceError(
        error.code,
        error.reason,
        error.message.replace(end, ""),
        metadata=metadata,
        field=error.field,
        retry_after=error.retry_after,
    )


def authorize(tokens: Sequence[Token], authorization: str, scope: str) -> Token:
    """The token of an `authorization` header, if it has the scope."""
    given = authorization.removeprefix("Bearer ").encode()
    # Every token is compared, so that the time says nothing about which one matched.
    matches = [token for token in tokens if hmac.compare_digest(token.secret.encode(), given)]
    if not authorization.startswith("Bearer ") or not matches:
        text = "no valid bearer token; send metadata `authorization: Bearer TOKEN`"
        raise ServiceError(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", text)
    if not matches[0].may(scope):
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

"""What every answer says to the browser, and who may be shown an API that asks nobody for a token.

The page runs only its own scripts and styles and talks to nobody but the inspector. Tokens are kept by the browser tab
(sessionStorage) and travel in the Authorization header alone, never in a URL, a cookie or a log.

Failure policy: beyond loopback an API that needs no token is not shown (FAILED_PRECONDITION, OPEN_API): the inspector would
open to the network what the API keeps to its machine. While the API is away, so is the answer.
"""

import re

import grpc
from shelm.v1 import agent_pb2, errors_pb2
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.inspector.api import PublicApi
from services.protocol.reasons import failure
from services.runtime.errors import ServiceError

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_BEARER = re.compile(r"Bearer [\x21-\x7e]{1,4096}")


class SecurityHeaders:
    """Adds HEADERS to every answer; what has no cache rule of its own is asked for again each time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def authorization_of(request: Request) -> str:
    """The viewer's authorization header, empty without one; UNAUTHENTICATED if it is not a bearer token."""
    header = request.headers.get("authorization", "")
    if header and not _BEARER.fullmatch(header):
        text = "expected the header `Authorization: Bearer TOKEN`, TOKEN of printable ASCII characters without spaces"
        raise failure(errors_pb2.ERROR_REASON_UNAUTHENTICATED, text)
    return header


class OpenApiGuard:
    """Finds out, until it knows, whether the API needs tokens."""

    def __init__(self, api: PublicApi, *, needed: bool) -> None:
        """needed: false where it may be open, on loopback or by the operator's word."""
        self._api, self._needed = api, needed

    async def check(self) -> None:
        """Raises OPEN_API if the API would answer anybody."""
        if not self._needed:
            return
        try:
            await self._api.call("ListAgents", agent_pb2.ListAgentsRequest(), "")
        except ServiceError as error:
            if error.code is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            self._needed = False
            return
        text = "the API needs no token and this page is served beyond loopback; SHELM_ALLOW_ANONYMOUS=true would allow it"
        raise failure(errors_pb2.ERROR_REASON_OPEN_API, text)

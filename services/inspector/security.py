"""Security headers of every response, and protection of APIs that require no token.

Browsers say where a request comes from (Sec-Fetch-Site, Origin). One that a page of another site has made is refused under
/api: it could not read the answer, but an API without tokens would work for it. A page that is opened by hand, and programs,
which say nothing, are served.

The page may only run its own scripts and styles and only connect to the inspector. The browser tab stores the token
(sessionStorage) and sends it only in the Authorization header, never in a URL, a cookie or a log.

Failure policy: beyond loopback, data of an API that requires no token is not shown (FAILED_PRECONDITION, OPEN_API), because
the inspector would expose to the network what the API restricts to its machine. If the API cannot be reached, the request
fails with UNAVAILABLE.
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
PAGE_HEADER = "X-Shelm-Page"
_OWN_SITES = ("same-origin", "none")  # none: typed, or opened from a bookmark
_BEARER = re.compile(r"Bearer [\x21-\x7e]{1,4096}")


class SecurityHeaders:
    """Adds HEADERS to every response; browsers must revalidate responses that have no cache rule of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def check_own_site(request: Request) -> None:
    """Raises CROSS_SITE if a browser says that a page of another origin has made the request."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:  # an old browser
        site = "none" if origin.partition("://")[2] == request.headers.get("host") else "cross-site"
    if site is not None and site not in _OWN_SITES:
        raise failure(errors_pb2.ERROR_REASON_CROSS_SITE, "a page of another site has no answer from here")


def check_meant(request: Request) -> None:
    """Raises CROSS_SITE without the header of the inspector's page, which no other page can send unasked.

    For what costs work: over plain HTTP beyond loopback browsers do not say where a request comes from.
    """
    if PAGE_HEADER not in request.headers:
        text = f"what costs the server work is asked with the header `{PAGE_HEADER}: 1`"
        raise failure(errors_pb2.ERROR_REASON_CROSS_SITE, text)


def authorization_of(request: Request) -> str:
    """Returns the viewer's authorization header, or "" without one; raises UNAUTHENTICATED if it is not a bearer token."""
    header = request.headers.get("authorization", "")
    if header and not _BEARER.fullmatch(header):
        text = "expected the header `Authorization: Bearer TOKEN`, TOKEN of printable ASCII characters without spaces"
        raise failure(errors_pb2.ERROR_REASON_UNAUTHENTICATED, text)
    return header


class OpenApiGuard:
    """Checks whether the API requires tokens, until the answer is known."""

    def __init__(self, api: PublicApi, *, needed: bool) -> None:
        """needed: False if the API may be open, because the inspector is on loopback or the operator allowed it."""
        self._api, self._needed = api, needed

    async def check(self) -> None:
        """Raises OPEN_API if the API answers requests without a token."""
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

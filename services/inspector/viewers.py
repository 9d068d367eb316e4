"""Those who look at the page: whose token a request carries, and how many live streams there are.

Failure policy: a request of another site is CROSS_SITE, a malformed header UNAUTHENTICATED; beyond `most` streams another
one is TOO_MANY_VIEWERS; a viewer that receives nothing for `SEND_TIMEOUT` seconds is disconnected.
"""

import contextlib
from collections.abc import AsyncGenerator

from shelm.v1 import errors_pb2
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from services.inspector.security import OpenApiGuard, authorization_of, check_own_site
from services.protocol.reasons import failure

SEND_TIMEOUT = 30.0  # seconds


class Viewers:
    """Lets requests in. most: live streams at once."""

    def __init__(self, guard: OpenApiGuard, *, most: int) -> None:
        self._guard, self._most = guard, most
        self._streams = 0

    async def enter(self, request: Request) -> str:
        """Returns the authorization header with which the API is asked for this request."""
        check_own_site(request)
        authorization = authorization_of(request)
        await self._guard.check()
        return authorization

    def stream(self, events: AsyncGenerator[bytes, None]) -> Response:
        """Answers events, if there are not too many streams."""
        if self._streams >= self._most:
            text = f"{self._most} live pages are open already; retry later"
            raise failure(errors_pb2.ERROR_REASON_TOO_MANY_VIEWERS, text, retry_after=5)
        return EventSourceResponse(self._counted(events), send_timeout=SEND_TIMEOUT)

    async def _counted(self, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        self._streams += 1
        try:
            async with contextlib.aclosing(events) as own:
                async for one in own:
                    yield one
        finally:
            self._streams -= 1

"""`Listings`: the list of episodes, read once for all viewers with the same token.

Contract: while there are viewers, ListEpisodes is called every `EVERY` seconds, or less often if it is slow: reading the
list takes at most one percent of the time. Viewers receive the whole list once and then the changes. At most `MOST` episodes
are listed.

Events: `episodes` {all, changed, removed, more}: `all` means that the page must discard its list, `more` that there are more
than `MOST` episodes. `error`, as in errors.py: reading continues after it, unless the token was rejected.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator

import grpc
from shelm.v1 import agent_pb2

from services.inspector.api import PublicApi
from services.inspector.convert import episode_json, to_text
from services.inspector.errors import error_json
from services.inspector.events import event
from services.runtime.errors import ServiceError

EVERY, SHARE = 2.0, 100.0  # seconds; minimum ratio of the time between two readings to the time of one
MOST = 5000  # episodes
PAGE = 500  # episodes per call
REMOVED = 1000  # removals kept for viewers that lag behind
REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class Listing:
    """The episodes visible to one token."""

    def __init__(self, api: PublicApi, authorization: str) -> None:
        self.viewers = 0
        self._api, self._authorization = api, authorization
        self._version = 0  # readings so far
        self._episodes: dict[str, tuple[int, str]] = {}  # name -> version of its last change, JSON
        self._removed: deque[tuple[int, str]] = deque(maxlen=REMOVED)
        self._more = False
        self._error: ServiceError | None = None
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yields the events for one viewer."""
        version = 0
        while True:
            changed, ended = self._changed, self.ended  # read before anything is sent, so that no change is missed
            if self._error:
                yield event("error", to_text(error_json(self._error)))
            elif version < self._version:
                yield event("episodes", self._news(version))
                version = self._version
            if ended:
                return
            await changed.wait()

    @property
    def ended(self) -> bool:
        """True if the token was rejected, after which there are no further events."""
        return self._error is not None and self._error.code in REFUSED

    def close(self) -> None:
        """Stops reading."""
        self._task.cancel()

    def _news(self, version: int) -> str:
        lost = len(self._removed) == REMOVED and self._removed[0][0] > version
        if whole := version == 0 or lost:
            version = 0
        changed = ",".join(text for when, text in self._episodes.values() if when > version)
        removed = [] if whole else [name for when, name in self._removed if when > version]
        head = to_text({"all": whole, "more": self._more, "removed": removed})
        return f'{head[:-1]},"changed":[{changed}]}}'

    async def _run(self) -> None:
        while not self.ended:
            began = time.monotonic()
            try:
                self._take(await self._read())
                self._error = None
            except ServiceError as error:
                self._error = error
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            await asyncio.sleep(max(EVERY, SHARE * (time.monotonic() - began)))

    async def _read(self) -> dict[str, str]:
        found: dict[str, str] = {}
        token = ""
        while True:
            request = agent_pb2.ListEpisodesRequest(page_size=PAGE, page_token=token)
            page = await self._api.call("ListEpisodes", request, self._authorization)
            found |= {one.episode_id: to_text(episode_json(one)) for one in page.episodes}
            token = page.next_page_token
            self._more = bool(token) and len(found) >= MOST
            if not token or self._more:
                return found

    def _take(self, found: dict[str, str]) -> None:
        self._version += 1
        for name in self._episodes.keys() - found.keys():
            del self._episodes[name]
            self._removed.append((self._version, name))
        for name, text in found.items():
            if name not in self._episodes or self._episodes[name][1] != text:
                self._episodes[name] = (self._version, text)


class Listings:
    """The lists that currently have viewers."""

    def __init__(self, api: PublicApi) -> None:
        self._api = api
        self._listings: dict[str, Listing] = {}  # by authorization header

    async def events(self, authorization: str) -> AsyncGenerator[bytes, None]:
        """Yields the events for one more viewer."""
        listing = self._listings.get(authorization)
        if listing is None or listing.ended:
            listing = self._listings[authorization] = Listing(self._api, authorization)
        listing.viewers += 1
        try:
            async with contextlib.aclosing(listing.events()) as events:
                async for one in events:
                    yield one
        finally:
            listing.viewers -= 1
            if not listing.viewers:
                listing.close()
                if self._listings.get(authorization) is listing:
                    del self._listings[authorization]

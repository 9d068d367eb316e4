"""The inspector's HTTP server: one page, its files, and the public API as JSON and server-sent events.

Contract: read-only. Every /api request uses the viewer's own token; nothing is stored. Paths:
  /                                         the page
  /static/...                               its files
  /healthz                                  200 while this process runs, whether or not the API can be reached
  /api/agents                               all agents
  /api/episodes                             the list, as events: listing.py
  /api/archive?after=                       a page of archived episodes
  /api/list, /api/search, /api/compare      POST: episodes by filter and words, searching.py; with the header X-Shelm-Page
  /api/episodes/{id}                        one episode
  /api/episodes/{id}/memory?from=&limit=    steps
  /api/episodes/{id}/live?from=             steps as they are committed, as events: events.py
  /api/episodes/{id}/frames/{step}          a recorded frame, PNG; 204 if there is none
  /api/episodes/{id}/explain/{step}?max_steps=  the words that decided a step; with the header X-Shelm-Page
  /api/episodes/{id}/whatif/{step}          POST: what other memories would change, what_if.py; with the header X-Shelm-Page

Failure policy: as in errors.py; a viewer that receives nothing for `SEND_TIMEOUT` seconds is disconnected.
"""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from shelm.v1 import agent_pb2, errors_pb2
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from services.inspector.api import PublicApi
from services.inspector.convert import agent_json, episode_json, explanation_json, step_json
from services.inspector.errors import error_response, internal_error
from services.inspector.events import episode_events
from services.inspector.listing import Listings
from services.inspector.searching import compare_json, list_json, read_compare, read_list, read_search, search_json
from services.inspector.security import OpenApiGuard, SecurityHeaders, authorization_of, check_meant, check_own_site
from services.inspector.settings import InspectorSettings
from services.inspector.watching import Watches
from services.inspector.what_if import read_alternatives, what_if_json
from services.protocol.reasons import failure
from services.runtime.auth import is_loopback
from services.runtime.errors import ServiceError, invalid

STATIC = Path(__file__).parent / "static"
ARCHIVE_PAGE = 50  # episodes
SEND_TIMEOUT = 30.0  # seconds
EXPLAIN_TIMEOUT = 120.0  # seconds; an explanation runs the memory many times
SEARCH_TIMEOUT = 30.0  # seconds; a search may wait for others
NO_FRAME = ("RECORDING_OFF", "FRAME_NOT_RECORDED", "UNIMPLEMENTED", "STEP_TOO_OLD")
_NO_STORE = {"Cache-Control": "no-store"}


class Inspector:
    """The handlers of /api."""

    def __init__(self, api: PublicApi, guard: OpenApiGuard, *, max_viewers: int) -> None:
        self._api, self._guard = api, guard
        self._watches, self._listings = Watches(api), Listings(api)
        self._viewers, self._max_viewers = 0, max_viewers

    async def agents(self, request: Request) -> Response:
        """Returns all agents."""
        reply = await self._api.call("ListAgents", agent_pb2.ListAgentsRequest(), await self._viewer(request))
        return _json([agent_json(agent) for agent in reply.agents])

    async def list_live(self, request: Request) -> Response:
        """Streams the list of episodes."""
        viewer = await self._viewer(request)
        # So that an invalid token is reported as an HTTP status, not as an event.
        await self._api.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1), viewer)
        return self._events(self._listings.events(viewer))

    async def archive(self, request: Request) -> Response:
        """Returns a page of archived episodes, and the token of the next one."""
        token = request.query_params.get("after", "")
        wanted = agent_pb2.ListEpisodesRequest(page_size=ARCHIVE_PAGE, page_token=token, archived=True)
        reply = await self._api.call("ListEpisodes", wanted, await self._viewer(request))
        return _json({"episodes": [episode_json(one) for one in reply.episodes], "next": reply.next_page_token})

    async def filtered(self, request: Request) -> Response:
        """Returns a page of the episodes that agree with a filter."""
        check_meant(request)
        viewer, wanted = await self._viewer(request), await read_list(request)
        return _json(list_json(await self._api.call("ListEpisodes", wanted, viewer)))

    async def search(self, request: Request) -> Response:
        """Returns a page of the episodes that saw some words."""
        check_meant(request)
        viewer, wanted = await self._viewer(request), await read_search(request)
        return _json(search_json(await self._api.call("SearchEpisodes", wanted, viewer, within=SEARCH_TIMEOUT)))

    async def compare(self, request: Request) -> Response:
        """Returns how episodes that succeeded differ from those that failed."""
        check_meant(request)
        viewer, wanted = await self._viewer(request), await read_compare(request)
        return _json(compare_json(await self._api.call("CompareOutcomes", wanted, viewer, within=SEARCH_TIMEOUT)))

    async def episode(self, request: Request) -> Response:
        """Returns one episode."""
        return _json(episode_json(await self._api.episode(_name(request), await self._viewer(request))))

    async def memory(self, request: Request) -> Response:
        """Returns steps of one episode."""
        first, limit = _number(request, "from", 0), _number(request, "limit", 1000)
        steps = await self._api.memory(_name(request), first, limit, await self._viewer(request))
        return _json([step_json(step) for step in steps])

    async def live(self, request: Request) -> Response:
        """Streams the steps of one episode as they are committed."""
        first, viewer = _number(request, "from", 0), await self._viewer(request)
        episode = await self._api.episode(_name(request), viewer)
        return self._events(episode_events(self._api, self._watches, episode, first, viewer))

    async def frame(self, request: Request) -> Response:
        """Returns a recorded frame, or 204 with the reason if there is none, because a missing frame is not an error."""
        wanted = agent_pb2.GetFrameRequest(episode_id=_name(request), step=_step(request))
        viewer = await self._viewer(request)
        try:
            reply = await self._api.call("GetFrame", wanted, viewer)
        except ServiceError as error:
            if error.reason not in NO_FRAME:
                raise
            return Response(status_code=204, headers={**_NO_STORE, "X-Reason": error.reason})
        return Response(reply.frame.data, media_type="image/png", headers=_NO_STORE)

    async def explain(self, request: Request) -> Response:
        """Returns the words and steps that decided a step."""
        check_meant(request)
        most = _number(request, "max_steps", 0)
        wanted = agent_pb2.ExplainStepRequest(episode_id=_name(request), step=_step(request), max_steps=most)
        viewer = await self._viewer(request)
        return _json(explanation_json(await self._api.call("ExplainStep", wanted, viewer, within=EXPLAIN_TIMEOUT)))

    async def what_if(self, request: Request) -> Response:
        """Returns what the agent would do at a step with other memories."""
        check_meant(request)
        viewer, alternatives = await self._viewer(request), await read_alternatives(request)
        wanted = agent_pb2.WhatIfRequest(episode_id=_name(request), step=_step(request), alternatives=alternatives)
        return _json(what_if_json(await self._api.call("WhatIf", wanted, viewer, within=EXPLAIN_TIMEOUT)))

    async def _viewer(self, request: Request) -> str:
        check_own_site(request)
        authorization = authorization_of(request)
        await self._guard.check()
        return authorization

    def _events(self, events: AsyncGenerator[bytes, None]) -> Response:
        if self._viewers >= self._max_viewers:
            text = f"{self._max_viewers} live pages are open already; retry later"
            raise failure(errors_pb2.ERROR_REASON_TOO_MANY_VIEWERS, text, retry_after=5)
        return EventSourceResponse(self._counted(events), send_timeout=SEND_TIMEOUT)

    async def _counted(self, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        self._viewers += 1
        try:
            async with contextlib.aclosing(events) as own:
                async for one in own:
                    yield one
        finally:
            self._viewers -= 1


def create_app(settings: InspectorSettings) -> ASGIApp:
    """Creates the HTTP application for these settings."""
    local = is_loopback(settings.inspector_listen)
    api = PublicApi(settings.inspector_target, timeout=settings.inspector_timeout, tls=settings.backend_tls())
    guard = OpenApiGuard(api, needed=not local and not settings.allow_anonymous)
    inspector = Inspector(api, guard, max_viewers=settings.inspector_max_viewers)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        yield
        await api.close()

    one = "/api/episodes/{episode_id}"
    routes = [
        Route("/", _page),
        Route("/healthz", _healthz),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/api/agents", inspector.agents),
        Route("/api/episodes", inspector.list_live),
        Route("/api/archive", inspector.archive),
        Route("/api/list", inspector.filtered, methods=["POST"]),
        Route("/api/search", inspector.search, methods=["POST"]),
        Route("/api/compare", inspector.compare, methods=["POST"]),
        Route(one, inspector.episode),
        Route(f"{one}/memory", inspector.memory),
        Route(f"{one}/live", inspector.live),
        Route(f"{one}/frames/{{step}}", inspector.frame),
        Route(f"{one}/explain/{{step}}", inspector.explain),
        Route(f"{one}/whatif/{{step}}", inspector.what_if, methods=["POST"]),
    ]
    # On loopback: a foreign page whose name was made to lead here sends its own name.
    hosts = ["localhost", "127.0.0.1", "::1", "[::1]"] if local else ["*"]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    handlers = {ServiceError: error_response, Exception: internal_error}
    return SecurityHeaders(Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan))


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _healthz(_: Request) -> Response:
    return _json({"status": "ok"})


def _json(value: Any) -> Response:
    return JSONResponse(value, headers=_NO_STORE)


def _name(request: Request) -> str:
    name: str = request.path_params["episode_id"]
    return name


def _step(request: Request) -> int:
    return _whole("step", request.path_params["step"], 2**64 - 1)


def _number(request: Request, field: str, default: int) -> int:
    return _whole(field, request.query_params.get(field, str(default)), 2**32 - 1)


def _whole(field: str, text: str, most: int) -> int:
    """The number that a text in an address stands for."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) > most:
        raise invalid(field, f"expected a number, 0 .. {most}, got {text[:40]!r}")
    return int(text)

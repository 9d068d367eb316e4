"""The inspector's HTTP server: one page, its files, and the public API as JSON and server-sent events.

Contract: it reads, and changes nothing unless `inspector_branches` allows branches. Every /api request uses the viewer's own
token; nothing is stored. Paths:
  /                                         the page
  /static/...                               its files
  /healthz                                  200 while this process runs, whether or not the API can be reached
  /api/offers                               what this server does beyond reading
  /api/agents                               all agents
  /api/agents/{agent}                       one, by name or digest, with card, vocabulary and language model
  /api/overview                             how the services are doing: overview.py
  /api/episodes                             the list, as events: listing.py
  /api/archive?after=                       a page of archived episodes
  /api/list, /api/search, /api/compare      POST: episodes by filter and words, searching.py; with the header X-Shelm-Page
  /api/episodes/{id}                        one episode
  /api/episodes/{id}/memory?from=&limit=    steps
  /api/episodes/{id}/live?from=             steps as they are committed, as events: events.py
  /api/episodes/{id}/frames/{step}          a recorded frame, PNG; 204 if there is none
These need the header X-Shelm-Page:
  /api/episodes/{id}/explain/{step}?max_steps=  the words that decided a step
  /api/episodes/{id}/whatif/{step}          POST: what other memories would change, what_if.py
  /api/episodes/{id}/branch/{step}          POST: a new episode that goes on from there with other words
  /api/episodes/{id}/export/{format}?fps=   the episode as a file: exporting.py

Failure policy: as in errors.py; viewers.py says whom it disconnects.
"""

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from shelm.v1 import agent_pb2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from services.inspector.api import PublicApi
from services.inspector.asked import answer
from services.inspector.convert import Json, agent_json, details_json, episode_json
from services.inspector.errors import error_response, internal_error
from services.inspector.exporting import Exports, offered
from services.inspector.listing import Listings
from services.inspector.one_episode import OneEpisode
from services.inspector.overview import Overview
from services.inspector.searching import compare_json, list_json, read_compare, read_list, read_search, search_json
from services.inspector.security import OpenApiGuard, SecurityHeaders, check_meant, check_own_site
from services.inspector.settings import InspectorSettings
from services.inspector.viewers import Viewers
from services.runtime.auth import is_loopback
from services.runtime.errors import ServiceError

STATIC = Path(__file__).parent / "static"
ARCHIVE_PAGE = 50  # episodes
SEARCH_TIMEOUT = 30.0  # seconds; a search may wait for others


class Inspector:
    """The handlers of /api that are not of one episode."""

    def __init__(self, api: PublicApi, viewers: Viewers, overview: Overview, offers: Json) -> None:
        self._api, self._viewers, self._overview, self._offers = api, viewers, overview, offers
        self._listings = Listings(api)

    def routes(self) -> list[Route]:
        """The paths."""
        return [
            Route("/api/offers", self.offers),
            Route("/api/agents", self.agents),
            Route("/api/agents/{agent}", self.agent),
            Route("/api/overview", self.overview),
            Route("/api/episodes", self.list_live),
            Route("/api/archive", self.archive),
            Route("/api/list", self.filtered, methods=["POST"]),
            Route("/api/search", self.search, methods=["POST"]),
            Route("/api/compare", self.compare, methods=["POST"]),
        ]

    async def offers(self, request: Request) -> Response:
        """Returns what this server does beyond reading."""
        check_own_site(request)
        return answer(self._offers)

    async def agents(self, request: Request) -> Response:
        """Returns all agents."""
        reply = await self._api.call("ListAgents", agent_pb2.ListAgentsRequest(), await self._viewers.enter(request))
        return answer([agent_json(agent) for agent in reply.agents])

    async def agent(self, request: Request) -> Response:
        """Returns one agent with all that is told of it."""
        wanted = agent_pb2.GetAgentRequest(agent=request.path_params["agent"], details=True)
        reply = await self._api.call("GetAgent", wanted, await self._viewers.enter(request))
        return answer({**agent_json(reply.agent), **details_json(reply.details)})

    async def overview(self, request: Request) -> Response:
        """Returns how the services are doing."""
        await self._api.call("ListAgents", agent_pb2.ListAgentsRequest(), await self._viewers.enter(request))  # may it read?
        return answer(await self._overview.answer())

    async def list_live(self, request: Request) -> Response:
        """Streams the list of episodes."""
        viewer = await self._viewers.enter(request)
        # So that an invalid token is reported as an HTTP status, not as an event.
        await self._api.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1), viewer)
        return self._viewers.stream(self._listings.events(viewer))

    async def archive(self, request: Request) -> Response:
        """Returns a page of archived episodes, and the token of the next one."""
        token = request.query_params.get("after", "")
        wanted = agent_pb2.ListEpisodesRequest(page_size=ARCHIVE_PAGE, page_token=token, archived=True)
        reply = await self._api.call("ListEpisodes", wanted, await self._viewers.enter(request))
        return answer({"episodes": [episode_json(one) for one in reply.episodes], "next": reply.next_page_token})

    async def filtered(self, request: Request) -> Response:
        """Returns a page of the episodes that agree with a filter."""
        check_meant(request)
        viewer, wanted = await self._viewers.enter(request), await read_list(request)
        return answer(list_json(await self._api.call("ListEpisodes", wanted, viewer)))

    async def search(self, request: Request) -> Response:
        """Returns a page of the episodes that saw some words."""
        check_meant(request)
        viewer, wanted = await self._viewers.enter(request), await read_search(request)
        return answer(search_json(await self._api.call("SearchEpisodes", wanted, viewer, within=SEARCH_TIMEOUT)))

    async def compare(self, request: Request) -> Response:
        """Returns how episodes that succeeded differ from those that failed."""
        check_meant(request)
        viewer, wanted = await self._viewers.enter(request), await read_compare(request)
        return answer(compare_json(await self._api.call("CompareOutcomes", wanted, viewer, within=SEARCH_TIMEOUT)))


def create_app(settings: InspectorSettings) -> ASGIApp:
    """Creates the HTTP application for these settings."""
    local = is_loopback(settings.inspector_listen)
    branches = local if settings.inspector_branches is None else settings.inspector_branches
    tls = settings.backend_tls()
    api = PublicApi(settings.inspector_target, timeout=settings.inspector_timeout, tls=tls)
    guard = OpenApiGuard(api, needed=not local and not settings.allow_anonymous)
    viewers = Viewers(guard, most=settings.inspector_max_viewers)
    inspector = Inspector(api, viewers, Overview(settings.metrics), {"branches": branches, "exports": offered()})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        yield
        await api.close()

    routes = [
        Route("/", _page),
        Route("/healthz", _healthz),
        Mount("/static", StaticFiles(directory=STATIC)),
        *inspector.routes(),
        *OneEpisode(api, viewers, Exports(settings.inspector_target, tls), branches=branches).routes(),
    ]
    # On loopback: a foreign page whose name was made to lead here sends its own name.
    hosts = ["localhost", "127.0.0.1", "::1", "[::1]"] if local else ["*"]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    handlers = {ServiceError: error_response, Exception: internal_error}
    return SecurityHeaders(Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan))


async def _page(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _healthz(_: Request) -> Response:
    return answer({"status": "ok"})

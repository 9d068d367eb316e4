"""The handlers of /api/episodes/{id}/...: what one episode is, remembers and would do, and branches of it.

Failure policy: as in errors.py. A missing frame is no error: it is answered with 204 and the reason.
"""

from shelm.v1 import agent_pb2, errors_pb2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.inspector.api import PublicApi
from services.inspector.asked import NO_STORE, answer, episode_name, number, read_fields, step_number
from services.inspector.convert import episode_json, explanation_json, step_json
from services.inspector.events import episode_events
from services.inspector.exporting import Exports
from services.inspector.security import check_meant
from services.inspector.viewers import Viewers
from services.inspector.watching import Watches
from services.inspector.what_if import read_alternatives, what_if_json
from services.protocol.reasons import failure
from services.runtime.errors import ServiceError

DEFAULT_FPS = 4
EXPLAIN_TIMEOUT = 120.0  # seconds; an explanation runs the memory many times
NO_FRAME = ("RECORDING_OFF", "FRAME_NOT_RECORDED", "UNIMPLEMENTED", "STEP_TOO_OLD")


class OneEpisode:
    """Answers what is asked about one episode. branches: whether the page may make some."""

    def __init__(self, api: PublicApi, viewers: Viewers, exports: Exports, *, branches: bool) -> None:
        self._api, self._viewers, self._exports, self._branches = api, viewers, exports, branches
        self._watches = Watches(api)

    def routes(self) -> list[Route]:
        """The paths."""
        one = "/api/episodes/{episode_id}"
        return [
            Route(one, self.episode),
            Route(f"{one}/memory", self.memory),
            Route(f"{one}/live", self.live),
            Route(f"{one}/frames/{{step}}", self.frame),
            Route(f"{one}/explain/{{step}}", self.explain),
            Route(f"{one}/whatif/{{step}}", self.what_if, methods=["POST"]),
            Route(f"{one}/branch/{{step}}", self.branch, methods=["POST"]),
            Route(f"{one}/export/{{format}}", self.export),
        ]

    async def episode(self, request: Request) -> Response:
        """Returns one episode."""
        return answer(episode_json(await self._api.episode(episode_name(request), await self._viewers.enter(request))))

    async def memory(self, request: Request) -> Response:
        """Returns steps of one episode."""
        first, limit = number(request, "from", 0), number(request, "limit", 1000)
        steps = await self._api.memory(episode_name(request), first, limit, await self._viewers.enter(request))
        return answer([step_json(step) for step in steps])

    async def live(self, request: Request) -> Response:
        """Streams the steps of one episode as they are committed."""
        first, viewer = number(request, "from", 0), await self._viewers.enter(request)
        episode = await self._api.episode(episode_name(request), viewer)
        return self._viewers.stream(episode_events(self._api, self._watches, episode, first, viewer))

    async def frame(self, request: Request) -> Response:
        """Returns a recorded frame, or 204 with the reason if there is none."""
        wanted = agent_pb2.GetFrameRequest(episode_id=episode_name(request), step=step_number(request))
        viewer = await self._viewers.enter(request)
        try:
            reply = await self._api.call("GetFrame", wanted, viewer)
        except ServiceError as error:
            if error.reason not in NO_FRAME:
                raise
            return Response(status_code=204, headers={**NO_STORE, "X-Reason": error.reason})
        return Response(reply.frame.data, media_type="image/png", headers=NO_STORE)

    async def explain(self, request: Request) -> Response:
        """Returns the words and steps that decided a step."""
        check_meant(request)
        most = number(request, "max_steps", 0)
        wanted = agent_pb2.ExplainStepRequest(episode_id=episode_name(request), step=step_number(request), max_steps=most)
        viewer = await self._viewers.enter(request)
        return answer(explanation_json(await self._api.call("ExplainStep", wanted, viewer, within=EXPLAIN_TIMEOUT)))

    async def what_if(self, request: Request) -> Response:
        """Returns what the agent would do at a step with other memories."""
        check_meant(request)
        viewer, alternatives = await self._viewers.enter(request), await read_alternatives(request)
        wanted = agent_pb2.WhatIfRequest(
            episode_id=episode_name(request), step=step_number(request), alternatives=alternatives
        )
        return answer(what_if_json(await self._api.call("WhatIf", wanted, viewer, within=EXPLAIN_TIMEOUT)))

    async def branch(self, request: Request) -> Response:
        """Makes an episode that goes on from a step with other words: all that this server ever changes."""
        check_meant(request)
        viewer = await self._viewers.enter(request)
        if not self._branches:
            text = "this page may only read; SHELM_INSPECTOR_BRANCHES=true lets it make branches"
            raise failure(errors_pb2.ERROR_REASON_PERMISSION_DENIED, text)
        wanted = agent_pb2.BranchEpisodeRequest(source_episode_id=episode_name(request), step=step_number(request))
        await read_fields(request, wanted, ("episode_id", "edits"), '{"episode_id": "new", "edits": [...]}')
        return answer(episode_json((await self._api.call("BranchEpisode", wanted, viewer)).episode))

    async def export(self, request: Request) -> Response:
        """Returns the episode as a file."""
        check_meant(request)
        viewer, fps = await self._viewers.enter(request), number(request, "fps", DEFAULT_FPS)
        format_: str = request.path_params["format"]
        return await self._exports.answer(request, viewer, episode_id=episode_name(request), format_=format_, fps=fps)

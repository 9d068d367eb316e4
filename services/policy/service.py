"""AgentService: converts messages, and calls `Actor`, `EpisodeStore`, `Explainer` and `Frames`.

Contract: the public API (agent.proto). Failure policy: every failure is a ServiceError; items of a batch or stream
fail alone.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from shelm.v1 import agent_pb2, agent_pb2_grpc

from services.policy import errors
from services.policy.actor import Actor
from services.policy.admission import Admission
from services.policy.agents import Agents, ServedAgent
from services.policy.archive.archiver import Archiver
from services.policy.archive.reader import Episodes
from services.policy.backends.interfaces import Slots
from services.policy.branching import Brancher
from services.policy.explain.explain import Explainer
from services.policy.explain.what_if import WhatIf
from services.policy.recording.frames import Frames
from services.policy.searching import Searcher
from services.policy.settings import PolicyServerSettings
from services.policy.telemetry import WATCHERS, acting, acting_together, ended_by_client, traced_acting
from services.protocol.agent_api import (
    act_message,
    agent_message,
    details_message,
    episode_message,
    explanation_message,
    frame_message,
    memory_step_message,
    parse_act,
    parse_explain,
)
from services.protocol.branches import branch_message, parse_branch
from services.protocol.fields import (
    MAX_STEP,
    check_archive_token,
    check_page_size,
    check_page_token,
    check_reward,
    check_seed,
    check_step,
)
from services.protocol.names import caller_name, full_name
from services.protocol.search import (
    COMPARED,
    FOUND,
    check_place,
    comparison_message,
    found_message,
    parse_filter,
    parse_order,
    parse_search,
    place_token,
)
from services.protocol.status import failed_item, item_status
from services.protocol.values import EpisodeState
from services.protocol.what_if import parse_what_if, what_if_message
from services.runtime import traces
from services.runtime.auth import ANYBODY, caller
from services.runtime.errors import Context, ServiceError, deadline_of, invalid
from services.runtime.in_flight import InFlight
from services.runtime.logs import in_episode
from services.runtime.slices import Slices
from services.runtime.telemetry import agent_labels
from services.store.episodes import EpisodeStore, new_episode
from services.store.records import Numbered

log = logging.getLogger(__name__)
WATCH_WAIT = 0.5  # seconds between checks whether a watched episode has ended
WATCH_STEPS = 100  # read at once
SIGN_OF_LIFE = 10.0  # seconds; proxies close streams that are silent for a minute or less
STREAM_DEPTH = 64  # requests of one stream that run at once

# Scope that a caller's token needs; methods not named need `act`.
SCOPES = dict.fromkeys(
    (
        "GetEpisode",
        "ListEpisodes",
        "SearchEpisodes",
        "CompareOutcomes",
        "GetMemory",
        "WatchMemory",
        "ExplainStep",
        "WhatIf",
        "GetFrame",
        "ListAgents",
        "GetAgent",
    ),
    "read",
)


LISTINGS = ("ListEpisodes", "SearchEpisodes", "CompareOutcomes")
READS = tuple(name for name in SCOPES if name not in (*LISTINGS, "WatchMemory", "ExplainStep", "WhatIf"))


def most_under_way(settings: PolicyServerSettings) -> Mapping[str, int]:
    """How many calls of a method a tenant may have under way. Those of watchers and explanations are counted where they are
    counted in all, Acts by the `Actor`.
    """
    return {
        **dict.fromkeys(READS, settings.max_reads),
        **dict.fromkeys(LISTINGS, settings.max_listings),
        "BranchEpisode": settings.max_reads,
        "ActStream": settings.max_in_flight,
    }


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """The public API."""

    def __init__(
        self,
        *,
        agents: Agents,
        store: EpisodeStore,
        episodes: Episodes,
        searcher: Searcher,
        archiver: Archiver | None,
        admission: Admission,
        brancher: Brancher,
        actor: Actor,
        memory: Slots,
        explainer: Explainer,
        what_if: WhatIf,
        frames: Frames,
        max_batch_items: int,
        max_watchers: int,
        max_tenant_watchers: int,
        slices: Slices,
    ) -> None:
        self._agents, self._store, self._actor, self._memory = agents, store, actor, memory
        self._episodes, self._archiver, self._admission, self._brancher = episodes, archiver, admission, brancher
        self._searcher = searcher
        self._explainer, self._what_if, self._frames = explainer, what_if, frames
        self._tracer = traces.tracer()
        self._acting = partial(traced_acting, self._tracer) if self._tracer else acting
        self._max_batch_items = max_batch_items
        self._max_watchers, self._watchers, self._slices = max_watchers, 0, slices
        refusal = partial(errors.too_many_watchers, max_tenant_watchers)
        self._of_tenant = InFlight(max_tenant_watchers, refusal)
        self._background: set[asyncio.Task[None]] = set()

    async def Act(self, request: agent_pb2.ActRequest, context: Context) -> agent_pb2.ActResponse:  # noqa: N802
        """Runs one step of one episode, exactly once."""
        return await self._act(request, deadline_of(context))

    async def _act(self, request: agent_pb2.ActRequest, deadline: float | None) -> agent_pb2.ActResponse:
        with self._acting() as act:
            act.call = parse_act(request)
            self._admission.act(act.call.episode_id)
            answer = await self._actor.act(act.call, deadline=deadline)
            act.answered(answer)
            log.debug(act.outcome)
        return act_message(answer)

    async def ActBatch(  # noqa: N802
        self, request: agent_pb2.ActBatchRequest, context: Context
    ) -> agent_pb2.ActBatchResponse:
        """Runs one step in each of many episodes; each item succeeds or fails alone."""
        if len(request.requests) > self._max_batch_items:
            raise invalid("requests", f"expected at most {self._max_batch_items} items, got {len(request.requests)}")
        names = [one.episode_id for one in request.requests]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise invalid("requests", f"expected each episode once, got {twice[:128]!r} more than once")
        deadline = deadline_of(context)
        if self._tracer and self._tracer.here():  # is sampled: each item gets spans of its own
            acts = (self._item(one, "ActBatch", f"requests[{i}]", deadline) for i, one in enumerate(request.requests))
            return agent_pb2.ActBatchResponse(results=await asyncio.gather(*acts))
        return agent_pb2.ActBatchResponse(results=await self._act_batch(request.requests, deadline))

    async def _act_batch(
        self, requests: Sequence[agent_pb2.ActRequest], deadline: float | None
    ) -> list[agent_pb2.ActResult]:
        """The items of a batch as one unit of work."""
        results: list[agent_pb2.ActResult] = [agent_pb2.ActResult()] * len(requests)
        with acting_together(len(requests)) as acts:
            for i, request in enumerate(requests):
                try:
                    call = parse_act(request)
                    self._admission.act(call.episode_id)
                    acts[i].call = call
                except ServiceError as error:
                    results[i] = _failed(error, "ActBatch", f"requests[{i}]")
            calls = {i: act.call for i, act in enumerate(acts) if act.call}
            outcomes = await self._actor.act_batch(list(calls.values()), deadline=deadline)
            for (i, call), outcome in zip(calls.items(), outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    in_episode(call.episode_id, call.step)
                    results[i] = _failed(outcome, "ActBatch", f"requests[{i}]")
                else:
                    acts[i].answered(outcome)
                    results[i] = agent_pb2.ActResult(response=act_message(outcome))
        return results

    async def ActStream(  # noqa: N802
        self, requests: AsyncIterator[agent_pb2.ActStreamRequest], context: Context
    ) -> AsyncIterator[agent_pb2.ActStreamResponse]:
        """Answers in order. Requests of different episodes overlap; those of one episode wait for each other."""
        replies: asyncio.Queue[asyncio.Task[agent_pb2.ActResult] | None] = asyncio.Queue(STREAM_DEPTH)
        reader = asyncio.create_task(self._read_stream(requests, replies))
        try:
            while (task := await replies.get()) is not None:
                yield agent_pb2.ActStreamResponse(result=await task)
            await reader  # raises if a request could not be read
        finally:
            reader.cancel()

    async def _read_stream(
        self,
        requests: AsyncIterator[agent_pb2.ActStreamRequest],
        replies: "asyncio.Queue[asyncio.Task[agent_pb2.ActResult] | None]",
    ) -> None:
        latest: dict[str, asyncio.Task[agent_pb2.ActResult]] = {}  # of each episode
        try:
            async for one in requests:
                name = one.request.episode_id
                task = asyncio.create_task(self._after(latest.get(name), one.request))
                latest[name] = task
                task.add_done_callback(partial(_drop, latest, name))
                await replies.put(task)
        finally:
            await replies.put(None)

    async def _after(
        self, before: asyncio.Task[agent_pb2.ActResult] | None, request: agent_pb2.ActRequest
    ) -> agent_pb2.ActResult:
        """A request of a stream, after the one before it of the same episode: so a stream takes one place in its queue."""
        if before:
            await asyncio.wait((before,))
        return await self._item(request, "ActStream", "request", None)

    async def _item(
        self, request: agent_pb2.ActRequest, method: str, place: str, deadline: float | None
    ) -> agent_pb2.ActResult:
        try:
            return agent_pb2.ActResult(response=await self._act(request, deadline))
        except Exception as error:
            return _failed(error, method, place)

    async def CreateEpisode(  # noqa: N802
        self, request: agent_pb2.CreateEpisodeRequest, context: Context
    ) -> agent_pb2.CreateEpisodeResponse:
        """Creates an episode; repeating the call with the same values returns the existing one."""
        bundle = self._agents.find(request.agent).bundle
        wanted = new_episode(
            full_name(request.episode_id),
            agent=bundle.name,
            agent_digest=bundle.digest,
            seed=check_seed(request.seed) if request.HasField("seed") else None,
            deterministic=request.deterministic,
        )
        refusal = self._admission.refusal(wanted.episode_id)
        if refusal and (await self._store.read(wanted.episode_id))[0] is None:
            raise refusal
        state = await self._store.create(wanted)
        if state.incarnation == wanted.incarnation:
            self._admission.begun(wanted.episode_id)
        if request.agent not in ("", state.agent, state.agent_digest):  # the default of this replica is not asked for
            raise errors.episode_exists(wanted.episode_id, "agent")
        for name in ("seed", "deterministic"):
            if getattr(state, name) != getattr(wanted, name):
                raise errors.episode_exists(wanted.episode_id, name)
        return agent_pb2.CreateEpisodeResponse(episode=episode_message(state))

    async def BranchEpisode(  # noqa: N802
        self, request: agent_pb2.BranchEpisodeRequest, context: Context
    ) -> agent_pb2.BranchEpisodeResponse:
        """Creates an episode that goes on from a step of another one; repeating the call returns the existing one."""
        state = await self._brancher.branch(parse_branch(request))
        return agent_pb2.BranchEpisodeResponse(episode=episode_message(state))

    async def EndEpisode(  # noqa: N802
        self, request: agent_pb2.EndEpisodeRequest, context: Context
    ) -> agent_pb2.EndEpisodeResponse:
        """Marks an episode as ended, and frees its memory slot."""
        reward = check_reward(request.total_reward) if request.HasField("total_reward") else None
        name = full_name(request.episode_id)
        ended = await self._store.end(name, reward)
        if ended is None:  # has expired, unless there is none; the archive has those that ended before
            return agent_pb2.EndEpisodeResponse(episode=episode_message(await self._read(name)))
        state, newly = ended
        if self._archiver:
            self._archiver.put(name)
        if newly:
            ended_by_client(agent_labels(state.agent, state.agent_digest), state.total_reward)
        self._forget(name)
        return agent_pb2.EndEpisodeResponse(episode=episode_message(state))

    async def DeleteEpisode(  # noqa: N802
        self, request: agent_pb2.DeleteEpisodeRequest, context: Context
    ) -> agent_pb2.DeleteEpisodeResponse:
        """Deletes an episode everywhere. If a part cannot be reached, the call fails, and is to be repeated."""
        name = full_name(request.episode_id)
        async with self._archiver.alone(name) if self._archiver else nullcontext():
            deleted = await self._store.delete(name)
            self._forget(name)
            archived = await self._episodes.delete_archived(name)
        recorded = await self._frames.delete(name)
        return agent_pb2.DeleteEpisodeResponse(deleted=deleted or archived or recorded)

    def _forget(self, episode_id: str) -> None:
        """Drops what this process knows of an episode, and its memory slot in the background."""
        self._actor.forget(episode_id)
        if not self._agents.keep_words:
            return
        task = asyncio.create_task(self._free_slot(episode_id))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _free_slot(self, episode_id: str) -> None:
        try:
            await self._memory.forget([episode_id])
        except ServiceError as error:  # the slot is soft: it will be dropped as least recently used
            log.info("slot of %r not freed: %s", episode_id, error)

    async def GetEpisode(  # noqa: N802
        self, request: agent_pb2.GetEpisodeRequest, context: Context
    ) -> agent_pb2.GetEpisodeResponse:
        """The state of one episode."""
        return agent_pb2.GetEpisodeResponse(episode=episode_message(await self._read(full_name(request.episode_id))))

    async def ListEpisodes(  # noqa: N802
        self, request: agent_pb2.ListEpisodesRequest, context: Context
    ) -> agent_pb2.ListEpisodesResponse:
        """A page of the caller's episodes; for an admin, of all."""
        size = check_page_size(request.page_size, "page_size")
        if request.order or request.HasField("filter"):
            return await self._filtered(request, size)
        if request.archived:
            after = check_archive_token(request.page_token)
            token, states = await self._episodes.archived_page(after, size, tenant=_tenant())
            episodes = await self._slices.each(episode_message, states)
            return agent_pb2.ListEpisodesResponse(episodes=episodes, next_page_token=token)
        cursor, found = await self._store.page(check_page_token(request.page_token), size, tenant=_tenant())
        return await self._listed(str(cursor) if cursor else "", found)

    async def _filtered(self, request: agent_pb2.ListEpisodesRequest, size: int) -> agent_pb2.ListEpisodesResponse:
        """A page in an order, of episodes that agree with a filter."""
        wanted, newest = parse_filter(request.filter), parse_order(request.order) is not False
        place, tenant = check_place(request.page_token), _tenant()
        if request.archived:
            self._episodes.check_kept()
            place, states = await self._searcher.archived(wanted, place, size, newest=newest, tenant=tenant)
            return await self._listed(place_token(place), states)
        place, found = await self._store.index.page(wanted, place, size, newest=newest, tenant=tenant)
        return await self._listed(place_token(place), found)

    async def _listed(self, token: str, found: Sequence[EpisodeState | ServiceError]) -> agent_pb2.ListEpisodesResponse:
        reply = agent_pb2.ListEpisodesResponse(next_page_token=token)

        def add(one: EpisodeState | ServiceError) -> None:
            if isinstance(one, EpisodeState):
                reply.episodes.append(episode_message(one))
            else:
                reply.damaged.append(_damaged(one))

        await self._slices.each(add, found)
        return reply

    async def SearchEpisodes(  # noqa: N802
        self, request: agent_pb2.SearchEpisodesRequest, context: Context
    ) -> agent_pb2.SearchEpisodesResponse:
        """A page of the caller's episodes that saw some words; for an admin, of all."""
        size = check_page_size(request.page_size, "page_size", FOUND)
        token, found, damaged = await self._searcher.search(
            parse_search(request), request.page_token, size, tenant=_tenant()
        )
        return agent_pb2.SearchEpisodesResponse(
            episodes=await self._slices.each(found_message, found),
            next_page_token=token,
            damaged=[_damaged(one) for one in damaged],
        )

    async def CompareOutcomes(  # noqa: N802
        self, request: agent_pb2.CompareOutcomesRequest, context: Context
    ) -> agent_pb2.CompareOutcomesResponse:
        """What the caller's episodes that succeeded saw, against those that failed; for an admin, of all."""
        limit = check_page_size(request.limit, "limit", COMPARED)
        return comparison_message(await self._searcher.compare(parse_search(request), limit, tenant=_tenant()))

    async def GetMemory(  # noqa: N802
        self, request: agent_pb2.GetMemoryRequest, context: Context
    ) -> agent_pb2.GetMemoryResponse:
        """The words of committed steps."""
        limit = check_page_size(request.limit, "limit")
        first = check_step(request.from_step, "from_step")
        name = full_name(request.episode_id)
        state, steps = await self._episodes.steps(name, first=first, limit=limit)
        if state is None or request.incarnation not in ("", state.incarnation):
            raise errors.episode_not_found(name)
        self._check_words(state, steps, request)
        message = partial(_step_message, state, self._window(state))
        messages = await self._slices.each(message, steps)
        branch = branch_message(state.branch) if state.branch else None
        return agent_pb2.GetMemoryResponse(steps=messages, incarnation=state.incarnation, branch=branch)

    async def WatchMemory(  # noqa: N802
        self, request: agent_pb2.WatchMemoryRequest, context: Context
    ) -> AsyncIterator[agent_pb2.WatchMemoryResponse]:
        """The words of steps as they are committed, until the episode ends, expires, or gives its name to another."""
        signed = -math.inf if request.signs_of_life else math.inf  # when the last sign of life was sent
        first = check_step(request.from_step, "from_step")
        name = full_name(request.episode_id)
        begun = await self._read(name)
        incarnation = begun.incarnation
        if request.incarnation not in ("", incarnation):
            raise errors.episode_not_found(name)
        if not begun.ttl_ms:  # in the archive alone, so nothing will follow
            _, kept = await self._episodes.steps(name, first=first, limit=MAX_STEP)
            self._check_words(begun, kept, request)
            for step, record in kept:
                message = memory_step_message(begun, step, record, window=self._window(begun))
                yield agent_pb2.WatchMemoryResponse(step=message, incarnation=incarnation)
            return
        with self._watching():
            while True:
                state, steps = await self._store.steps(name, first=first, limit=WATCH_STEPS)
                if state is None or state.incarnation != incarnation:
                    return
                self._check_words(state, steps, request)
                for step, record in steps:
                    message = memory_step_message(state, step, record, window=self._window(state))
                    yield agent_pb2.WatchMemoryResponse(step=message, incarnation=incarnation)
                    first = step + 1
                if first > state.committed:
                    if state.ended:
                        return
                    if time.monotonic() - signed >= SIGN_OF_LIFE:
                        signed = time.monotonic()
                        yield agent_pb2.WatchMemoryResponse(incarnation=incarnation)
                    await self._store.wait_for_step(name, first, seconds=WATCH_WAIT)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Counts a watcher; ServiceError if there are as many as may be."""
        if self._watchers >= self._max_watchers:
            raise errors.too_many_watchers(self._max_watchers)
        with nullcontext() if caller() is ANYBODY else self._of_tenant.place():
            self._watchers += 1
            WATCHERS.inc()
            try:
                yield
            finally:
                self._watchers -= 1
                WATCHERS.dec()

    async def ExplainStep(  # noqa: N802
        self, request: agent_pb2.ExplainStepRequest, context: Context
    ) -> agent_pb2.ExplainStepResponse:
        """How the action probabilities of a committed step depend on each remembered word."""
        explanation = await self._explainer.explain(parse_explain(request), deadline=deadline_of(context))
        return explanation_message(explanation)

    async def WhatIf(  # noqa: N802
        self, request: agent_pb2.WhatIfRequest, context: Context
    ) -> agent_pb2.WhatIfResponse:
        """What the agent would make of a committed step with other memories."""
        return what_if_message(await self._what_if.what_if(parse_what_if(request), deadline=deadline_of(context)))

    async def GetFrame(  # noqa: N802
        self, request: agent_pb2.GetFrameRequest, context: Context
    ) -> agent_pb2.GetFrameResponse:
        """The recorded frame of a committed step."""
        name, step = full_name(request.episode_id), check_step(request.step)
        return frame_message(await self._frames.get(name, step))

    async def ListAgents(  # noqa: N802
        self, request: agent_pb2.ListAgentsRequest, context: Context
    ) -> agent_pb2.ListAgentsResponse:
        """All agents, the default first."""
        return agent_pb2.ListAgentsResponse(agents=[self._describe(agent) for agent in self._agents])

    async def GetAgent(  # noqa: N802
        self, request: agent_pb2.GetAgentRequest, context: Context
    ) -> agent_pb2.GetAgentResponse:
        """One agent, and what a person may want to know of it if that is asked for."""
        agent = self._agents.find(request.agent)
        details = None
        if request.details:
            card = await asyncio.to_thread(agent.bundle.card)
            details = details_message(agent.bundle.manifest, card=card, vocabulary=agent.words)
        return agent_pb2.GetAgentResponse(agent=self._describe(agent), details=details)

    def _describe(self, agent: ServedAgent) -> agent_pb2.Agent:
        default = agent is self._agents.default
        return agent_message(agent.bundle.manifest, vocabulary_size=len(agent.words), default=default)

    async def _read(self, name: str) -> EpisodeState:
        state, _ = await self._episodes.read(name)
        if state is None:
            raise errors.episode_not_found(name)
        return state

    def _check_words(
        self,
        state: EpisodeState,
        steps: Sequence[Numbered],
        request: agent_pb2.GetMemoryRequest | agent_pb2.WatchMemoryRequest,
    ) -> None:
        """Refuses to read words where there are none; the agent may no longer be loaded, its steps tell too."""
        if request.without_words or state.branch:  # a step of a branch may have none left
            return
        if self._agents.wordless(state.agent_digest) or any(not record.words for _, record in steps):
            raise errors.keeps_no_words(state.episode_id, state.agent)

    def _window(self, state: EpisodeState) -> int:
        return self._agents.window(state.agent_digest)


def _tenant() -> str | None:
    """Whose episodes the caller sees; None: everybody's."""
    return None if caller().admin else caller().tenant


def _damaged(error: ServiceError) -> agent_pb2.DamagedEpisode:
    return agent_pb2.DamagedEpisode(episode_id=caller_name(error.metadata["episode_id"]), status=item_status(error))


def _step_message(state: EpisodeState, window: int, one: Numbered) -> agent_pb2.MemoryStep:
    return memory_step_message(state, *one, window=window)


def _drop(latest: dict[str, asyncio.Task[agent_pb2.ActResult]], name: str, done: asyncio.Task[agent_pb2.ActResult]) -> None:
    if latest.get(name) is done:
        del latest[name]


def _failed(error: BaseException, method: str, place: str) -> agent_pb2.ActResult:
    return agent_pb2.ActResult(status=failed_item(error, f"/shelm.v1.AgentService/{method}", place))

"""The stand-in server of the client's tests: the step rule in memory, behind a real gRPC server on a free loopback port.

It is not the product's server (that one is tested elsewhere): its agent remembers a word per frame and always goes on. What
the tests need of it is that calls can be made to fail by a script, before or after they took effect.
"""
# ruff: noqa: N802, N818  the methods have gRPC's names; a Failure is a script's entry as much as an exception

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from shelm.observation import encode
from shelm.v1 import agent_pb2, agent_pb2_grpc

WORDS = ("doorway", "corridor", "wall", "goal")
MINIGRID = ("left", "right", "forward", "pickup", "drop", "toggle", "done")


@dataclass
class Failure(Exception):
    """A scripted or a genuine failure of a call."""

    code: grpc.StatusCode
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    message: str = "scripted"
    fields: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    pushback: str | None = None

    def details(self) -> list[AnyMessage]:
        """Returns the google.rpc details."""
        messages: list[Message] = []
        if self.reason:
            messages.append(error_details_pb2.ErrorInfo(domain="shelm", reason=self.reason, metadata=self.metadata))
        if self.fields:
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=key, description=text) for key, text in self.fields.items()
            ]
            messages.append(error_details_pb2.BadRequest(field_violations=violations))
        if self.retry_after is not None:
            delay = Duration(nanos=int(self.retry_after * 1e9))
            messages.append(error_details_pb2.RetryInfo(retry_delay=delay))
        return [_packed(message) for message in messages]

    def abort(self, context: Any) -> NoReturn:
        """Ends the call."""
        details = self.details()
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=details)
        trailers: list[tuple[str, str | bytes]] = (
            [("grpc-status-details-bin", status.SerializeToString())] if details else []
        )
        if self.pushback is not None:
            trailers.append(("grpc-retry-pushback-ms", self.pushback))
        context.set_trailing_metadata(trailers)
        context.abort(self.code, self.message)
        raise AssertionError("abort raises")


def _outcome(probabilities: Sequence[float], **fields: Any) -> agent_pb2.Outcome:
    chances = agent_pb2.FloatVector(values=probabilities)
    most_probable = agent_pb2.Action(discrete=int(np.argmax(probabilities)))
    distribution = agent_pb2.ActionDistribution(probabilities=chances, entropy=0.5)
    return agent_pb2.Outcome(distribution=distribution, most_probable=most_probable, value=0.5, **fields)


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


class StandIn(agent_pb2_grpc.AgentServiceServicer):
    """Keeps what was committed and what was asked. Fails as `before` and `after` say, one entry per call of
    that method (None: it succeeds)."""

    def __init__(self, *, shape: tuple[int, int] = (56, 56), actions: Sequence[str] = ("left", "right", "forward")) -> None:
        self.shape, self.actions = shape, actions  # of its agent: height and width of frames; what it can do
        self.committed: dict[str, list[tuple[bytes, agent_pb2.ActResponse]]] = {}
        self.ended: set[str] = set()
        self.totals: dict[str, float] = {}
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.metadata: dict[str, str] = {}
        self.before: dict[str, deque[Failure | None]] = defaultdict(deque)
        self.after: dict[str, deque[Failure | None]] = defaultdict(deque)
        self.items: deque[Failure] = deque()  # for the items of the episode "unlucky"
        self.item_failures: dict[int, Failure] = {}  # by the number of the item, from 0, counted over all batches
        self.item_count = -1
        self.page = 2
        self.agent, self.environments = "stand-in", ["MiniGrid-MemoryS7-v0"]

    def Act(self, request: agent_pb2.ActRequest, context: Any) -> agent_pb2.ActResponse:
        with self._scripted("Act", request, context):
            return self.take(request)

    def take(self, request: agent_pb2.ActRequest) -> agent_pb2.ActResponse:
        """Applies the step rule to one request."""
        steps = self.committed.setdefault(request.episode_id, [])
        if request.step > len(steps):
            raise Failure(grpc.StatusCode.FAILED_PRECONDITION, "STEP_GAP", {"committed_step": str(len(steps) - 1)})
        if request.step == len(steps):
            if request.episode_id in self.ended:
                raise Failure(grpc.StatusCode.FAILED_PRECONDITION, "EPISODE_ENDED")
            steps.append((request.observation.data, self._answer(request)))
            return steps[-1][1]
        data, stored = steps[request.step]
        if data != request.observation.data:
            raise Failure(grpc.StatusCode.ABORTED, "STEP_CONFLICT", message="another frame is committed")
        replay = agent_pb2.ActResponse()
        replay.CopyFrom(stored)
        replay.ClearField("timing")
        replay.replayed, replay.committed_step = True, len(steps) - 1
        return replay

    def _answer(self, request: agent_pb2.ActRequest) -> agent_pb2.ActResponse:
        index = request.step % len(WORDS)
        return agent_pb2.ActResponse(
            episode_id=request.episode_id,
            step=request.step,
            action=agent_pb2.Action(discrete=2),
            committed_step=request.step,
            tokens=[agent_pb2.Token(text=WORDS[index], similarity=0.93, id=index)],
            memory=agent_pb2.Memory(length=request.step + 1, window=64),
            timing=agent_pb2.Timing(total_us=100),
            agent_digest="abc",
        )

    def ActBatch(self, request: agent_pb2.ActBatchRequest, context: Any) -> agent_pb2.ActBatchResponse:
        with self._scripted("ActBatch", request, context):
            return agent_pb2.ActBatchResponse(results=[self._item(item) for item in request.requests])

    def _item(self, request: agent_pb2.ActRequest) -> agent_pb2.ActResult:
        self.item_count += 1
        try:
            if self.item_count in self.item_failures:
                raise self.item_failures[self.item_count]
            if self.items and request.episode_id == "unlucky":
                raise self.items.popleft()
            return agent_pb2.ActResult(response=self.take(request))
        except Failure as failure:
            status = agent_pb2.Status(code=failure.code.value[0], message=failure.message, details=failure.details())
            return agent_pb2.ActResult(status=status)

    def CreateEpisode(self, request: agent_pb2.CreateEpisodeRequest, context: Any) -> agent_pb2.CreateEpisodeResponse:
        with self._scripted("CreateEpisode", request, context):
            self.committed.setdefault(request.episode_id, [])
            return agent_pb2.CreateEpisodeResponse(episode=self._episode(request.episode_id))

    def EndEpisode(self, request: agent_pb2.EndEpisodeRequest, context: Any) -> agent_pb2.EndEpisodeResponse:
        with self._scripted("EndEpisode", request, context):
            self.ended.add(request.episode_id)
            if request.HasField("total_reward"):
                self.totals.setdefault(request.episode_id, request.total_reward)
            return agent_pb2.EndEpisodeResponse(episode=self._episode(request.episode_id))

    def GetEpisode(self, request: agent_pb2.GetEpisodeRequest, context: Any) -> agent_pb2.GetEpisodeResponse:
        with self._scripted("GetEpisode", request, context):
            return agent_pb2.GetEpisodeResponse(episode=self._episode(request.episode_id))

    def ListEpisodes(self, request: agent_pb2.ListEpisodesRequest, context: Any) -> agent_pb2.ListEpisodesResponse:
        with self._scripted("ListEpisodes", request, context):
            # Of filters it knows agents alone.
            names = sorted(self.committed) if request.filter.agent in ("", "stand-in") else []
            begin = int(request.page_token or 0)
            more = begin + self.page < len(names)
            episodes = [self._episode(name) for name in names[begin : begin + self.page]]
            return agent_pb2.ListEpisodesResponse(episodes=episodes, next_page_token=str(begin + self.page) if more else "")

    def SearchEpisodes(self, request: agent_pb2.SearchEpisodesRequest, context: Any) -> agent_pb2.SearchEpisodesResponse:
        with self._scripted("SearchEpisodes", request, context):
            episodes = [self._episode(name) for name in sorted(self.committed)]
            begin = int(request.page_token or 0)
            found = [agent_pb2.FoundEpisode(episode=one, seen_steps=[3 for _ in request.saw]) for one in episodes]
            for one in found:
                one.episode.incarnation = one.episode.episode_id
            # As if an episode were archived between two pages: it is on both.
            page, more = found[begin : begin + self.page], begin + self.page < len(found)
            return agent_pb2.SearchEpisodesResponse(
                episodes=found[max(0, begin - 1) : begin] + page, next_page_token=str(begin + self.page) if more else ""
            )

    def CompareOutcomes(self, request: agent_pb2.CompareOutcomesRequest, context: Any) -> agent_pb2.CompareOutcomesResponse:
        with self._scripted("CompareOutcomes", request, context):
            shares = {
                "of_succeeded": agent_pb2.Share(count=3, total=4, low=0.25, high=0.875),
                "of_failed": agent_pb2.Share(count=0, total=0, low=0.0, high=1.0),
            }
            word = agent_pb2.WordOutcome(word="a ball", **shares)
            pair = agent_pb2.TransitionOutcome(word="a ball", next_word="a key", **shares)
            return agent_pb2.CompareOutcomesResponse(succeeded=4, words=[word], transitions=[pair], partial=True)

    def _episode(self, episode_id: str) -> agent_pb2.Episode:
        if episode_id not in self.committed:
            raise Failure(grpc.StatusCode.NOT_FOUND, "EPISODE_NOT_FOUND", message=f"no episode {episode_id}")
        count, ended = len(self.committed[episode_id]), episode_id in self.ended
        committed = count - 1 if count else None
        return agent_pb2.Episode(
            episode_id=episode_id,
            agent="stand-in",
            committed_step=committed,
            ended=ended,
            agent_digest="abc",
            total_reward=self.totals.get(episode_id),
        )

    def GetMemory(self, request: agent_pb2.GetMemoryRequest, context: Any) -> agent_pb2.GetMemoryResponse:
        with self._scripted("GetMemory", request, context):
            self._episode(request.episode_id)
            return agent_pb2.GetMemoryResponse(steps=self._steps(request)[: self.page], incarnation="first")

    def WatchMemory(self, request: agent_pb2.WatchMemoryRequest, context: Any) -> Iterator[agent_pb2.WatchMemoryResponse]:
        with self._scripted("WatchMemory", request, context):
            if request.signs_of_life:
                yield agent_pb2.WatchMemoryResponse(incarnation="first")
            for step in self._steps(request)[: self.page]:
                yield agent_pb2.WatchMemoryResponse(step=step, incarnation="first")

    def _steps(self, request: Any) -> list[agent_pb2.MemoryStep]:
        answers = [answer for _, answer in self.committed[request.episode_id]][getattr(request, "from_step", 0) :]
        return [agent_pb2.MemoryStep(step=a.step, tokens=a.tokens, action=a.action, in_window=True) for a in answers]

    def ExplainStep(self, request: agent_pb2.ExplainStepRequest, context: Any) -> agent_pb2.ExplainStepResponse:
        with self._scripted("ExplainStep", request, context):
            whole = agent_pb2.Decision(probabilities=[0.0, 0.1, 0.9], most_probable=agent_pb2.Action(discrete=2), value=0.5)
            without = agent_pb2.Decision(probabilities=[0.75, 0.0, 0.25], most_probable=agent_pb2.Action(discrete=0))
            answers = [answer for _, answer in self.committed[request.episode_id][: request.step]]
            taken = [
                agent_pb2.Influence(tokens=a.tokens, steps=[a.step], change=0.5 / (1 + a.step), without=without)
                for a in answers
            ]
            action = agent_pb2.Action(discrete=2)
            return agent_pb2.ExplainStepResponse(
                step=request.step, action=action, decision=whole, words=taken, steps=taken[: request.max_steps or 64]
            )

    def BranchEpisode(self, request: agent_pb2.BranchEpisodeRequest, context: Any) -> agent_pb2.BranchEpisodeResponse:
        with self._scripted("BranchEpisode", request, context):
            name, source = request.episode_id, request.source_episode_id
            if name not in self.committed:
                self.committed[name] = self.committed[source][: request.step]
            branch = agent_pb2.Branch(source_episode_id=source, step=request.step, edits=request.edits)
            committed = len(self.committed[name]) - 1
            episode = agent_pb2.Episode(episode_id=name, committed_step=committed, branch=branch)
            return agent_pb2.BranchEpisodeResponse(episode=episode)

    def WhatIf(self, request: agent_pb2.WhatIfRequest, context: Any) -> agent_pb2.WhatIfResponse:
        with self._scripted("WhatIf", request, context):
            steps = self._steps(request)
            words = [agent_pb2.StepWords(step=one.step, tokens=one.tokens) for one in steps[: request.step + 1]]
            return agent_pb2.WhatIfResponse(
                step=request.step,
                action=agent_pb2.Action(discrete=2),
                actual=_outcome([0.0, 0.125, 0.875], words=words),
                alternatives=[_outcome([0.75, 0.0, 0.25], change=0.75, words=words[:1]) for _ in request.alternatives],
            )

    def GetFrame(self, request: agent_pb2.GetFrameRequest, context: Any) -> agent_pb2.GetFrameResponse:
        with self._scripted("GetFrame", request, context):
            pixels, _ = self.committed[request.episode_id][request.step]
            raw = np.frombuffer(pixels, np.uint8).reshape(4, 5, 3)
            return agent_pb2.GetFrameResponse(frame=encode(raw, "png"))

    def ListAgents(self, request: agent_pb2.ListAgentsRequest, context: Any) -> agent_pb2.ListAgentsResponse:
        return agent_pb2.ListAgentsResponse(agents=[self._agent()])

    def GetAgent(self, request: agent_pb2.GetAgentRequest, context: Any) -> agent_pb2.GetAgentResponse:
        with self._scripted("GetAgent", request, context):
            return agent_pb2.GetAgentResponse(agent=self._agent())

    def _agent(self) -> agent_pb2.Agent:
        space = agent_pb2.ActionSpace(discrete=len(self.actions), names=self.actions)
        shape = agent_pb2.ObservationSpec(height=self.shape[0], width=self.shape[1])
        return agent_pb2.Agent(
            name=self.agent,
            digest="abc",
            observation=shape,
            action_space=space,
            environments=self.environments,
            default=True,
        )

    @contextmanager
    def _scripted(self, method: str, request: Message, context: Any) -> Iterator[None]:
        self.requests[method].append(request)
        self.metadata = dict(context.invocation_metadata())
        try:
            _raise_next(self.before[method])
            yield
            _raise_next(self.after[method])
        except Failure as failure:
            failure.abort(context)


def _raise_next(script: deque[Failure | None]) -> None:
    if script and (failure := script.popleft()):
        raise failure


@contextmanager
def serving(stand_in: StandIn, port: int = 0) -> Iterator[str]:
    """Serves it until the block ends, on a free port unless one is given; gives the target."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    agent_pb2_grpc.add_AgentServiceServicer_to_server(stand_in, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def frame(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Returns a frame that differs from those of other numbers."""
    return np.full((4, 5, 3), number, dtype=np.uint8)

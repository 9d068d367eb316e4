"""The public API as the tests call it: the generated stub, with the few calls that every test makes.

Failure policy: a failed call raises grpc.RpcError, as the stub does; nothing is retried. Every call has a deadline.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shelm.v1 import agent_pb2, agent_pb2_grpc

from support.frames import Frame, raw

SECONDS = 30.0  # deadline of a call
Observation = Frame | agent_pb2.Image


class Gateway:
    """One connection to one server."""

    def __init__(self, target: str, *, token: str = "") -> None:
        self.target = target
        self.channel = grpc.insecure_channel(
            target, options=[("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        )
        self.stub: Any = agent_pb2_grpc.AgentServiceStub(self.channel)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, method: str, request: Any, *, seconds: float = SECONDS) -> Any:
        """One call of a unary method."""
        return getattr(self.stub, method)(request, timeout=seconds, metadata=self.metadata)

    def act(
        self, episode_id: str, step: int, observation: Observation, *, seconds: float = SECONDS, **fields: Any
    ) -> agent_pb2.ActResponse:
        """One step of one episode."""
        request = act_request(episode_id, step, observation, **fields)
        reply: agent_pb2.ActResponse = self.call("Act", request, seconds=seconds)
        return reply

    def act_batch(self, requests: Sequence[agent_pb2.ActRequest], *, seconds: float = SECONDS) -> list[agent_pb2.ActResult]:
        """One step in each of many episodes."""
        return list(self.call("ActBatch", agent_pb2.ActBatchRequest(requests=requests), seconds=seconds).results)

    def act_stream(self, requests: Iterable[agent_pb2.ActRequest]) -> Iterator[agent_pb2.ActResult]:
        """Steps over one stream."""
        wrapped = (agent_pb2.ActStreamRequest(request=request) for request in requests)
        for reply in self.stub.ActStream(wrapped, timeout=SECONDS, metadata=self.metadata):
            yield reply.result

    def create(self, episode_id: str, **fields: Any) -> agent_pb2.Episode:
        """Creates an episode."""
        episode: agent_pb2.Episode = self.call(
            "CreateEpisode", agent_pb2.CreateEpisodeRequest(episode_id=episode_id, **fields)
        ).episode
        return episode

    def end(self, episode_id: str, **fields: Any) -> agent_pb2.Episode:
        """Ends an episode."""
        request = agent_pb2.EndEpisodeRequest(episode_id=episode_id, **fields)
        episode: agent_pb2.Episode = self.call("EndEpisode", request).episode
        return episode

    def episode(self, episode_id: str) -> agent_pb2.Episode:
        """What is known of an episode."""
        episode: agent_pb2.Episode = self.call("GetEpisode", agent_pb2.GetEpisodeRequest(episode_id=episode_id)).episode
        return episode

    def memory(self, episode_id: str, *, from_step: int = 0, limit: int = 1000) -> list[agent_pb2.MemoryStep]:
        """The words of an episode."""
        request = agent_pb2.GetMemoryRequest(episode_id=episode_id, from_step=from_step, limit=limit)
        return list(self.call("GetMemory", request).steps)

    def watch(self, episode_id: str, *, from_step: int = 0, seconds: float = SECONDS, signs: bool = False) -> Any:
        """The words of an episode as they come: an iterator of WatchMemoryResponse with `cancel`."""
        request = agent_pb2.WatchMemoryRequest(episode_id=episode_id, from_step=from_step, signs_of_life=signs)
        return self.stub.WatchMemory(request, timeout=seconds, metadata=self.metadata)

    def agent(self, name: str = "") -> agent_pb2.Agent:
        """One agent."""
        agent: agent_pb2.Agent = self.call("GetAgent", agent_pb2.GetAgentRequest(agent=name)).agent
        return agent

    def serving(self, service: str = "") -> bool:
        """Whether health says SERVING; an unreachable server is not serving."""
        return serving(self.channel, service)

    def close(self) -> None:
        """Closes the connection."""
        self.channel.close()

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def act_request(episode_id: str, step: int, observation: Observation, **fields: Any) -> agent_pb2.ActRequest:
    """The request for one step; an array travels raw."""
    image = observation if isinstance(observation, agent_pb2.Image) else raw(observation)
    return agent_pb2.ActRequest(episode_id=episode_id, step=step, observation=image, **fields)


def play(gateway: Gateway, episode_id: str, frames: Sequence[Frame], **created: Any) -> list[agent_pb2.ActResponse]:
    """A whole episode, one frame a step. created: values of CreateEpisode, beside its name."""
    gateway.create(episode_id, **created)
    return [gateway.act(episode_id, step, frame) for step, frame in enumerate(frames)]


def lines(answers: Iterable[agent_pb2.ActResponse | agent_pb2.MemoryStep]) -> list[tuple[tuple[str, ...], int]]:
    """Words and action of each step: what must never depend on anything but the episode itself."""
    return [(tuple(token.text for token in one.tokens), one.action.discrete) for one in answers]


def stored(answer: agent_pb2.ActResponse) -> Mapping[str, object]:
    """What of an answer is committed, so that every answer to the same step has it in common."""
    return {
        "step": answer.step,
        "tokens": [token.SerializeToString() for token in answer.tokens],
        "action": answer.action.SerializeToString(),
        "value": answer.value,
        "log_prob": answer.log_prob,
        "length": answer.memory.length,
        "agent_digest": answer.agent_digest,
    }


def serving(channel: grpc.Channel, service: str = "") -> bool:
    """Whether grpc.health.v1 says SERVING."""
    try:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
    except grpc.RpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

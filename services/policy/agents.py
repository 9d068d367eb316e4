"""The agents that a policy service can serve: their bundles, actor-critics and queues.

Failure policy: an agent that nobody knows is NOT_FOUND; one that an episode began with but that is not loaded any more is
FAILED_PRECONDITION with reason AGENT_NOT_LOADED.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import torch
from numpy.typing import NDArray
from shelm.v1 import agent_pb2

from services.domain.bundle import AgentBundle
from services.domain.frame import Frame
from services.domain.history import history_reach
from services.domain.settings import AgentSettings
from services.domain.triton import model_name
from services.domain.vocabulary import Vocabulary
from services.policy.convert import action_space_message
from services.policy.heads import Head, action_heads
from services.policy.model import ActorCritic, load_actor_critic
from services.policy.triton import FramesAsTheyAre, triton_policy
from services.runtime.batching import Batcher, in_thread
from services.runtime.errors import ServiceError
from services.runtime.triton import Queue, Triton

Features = NDArray[np.float32]  # (features,)
Memory = NDArray[np.float32]  # (dimension,)
Parameters = NDArray[np.float32]  # one row of services.policy.heads


class PolicyEngine:
    """The actor-critic on batches of single frames and memory vectors."""

    def __init__(self, model: ActorCritic, device: str) -> None:
        self._model, self._device = model.to(device), device

    @torch.inference_mode()
    def encode(self, frames: Sequence[Frame]) -> list[Features]:
        """uint8 (height, width, 3) each -> features each."""
        batch = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
        return list(self._model.encode(batch.to(self._device)).cpu().numpy())

    @torch.inference_mode()
    def decide(self, pairs: Sequence[tuple[Features, Memory]]) -> list[tuple[Parameters, float]]:
        """(features, memory vector) each -> (parameters of the action distribution, value) each."""
        features, memory = (torch.from_numpy(np.stack(part)).to(self._device) for part in zip(*pairs, strict=True))
        parameters, values = self._model.decide(features, memory)
        return list(zip(parameters.cpu().numpy(), values.tolist(), strict=True))


@dataclass(frozen=True)
class PolicyAgent:
    """What policy needs of one agent."""

    bundle: AgentBundle
    vocabulary_size: int
    heads: tuple[Head, ...]
    encode: Queue[Frame, Any]  # what `decide` wants to know of a frame
    decide: Queue[tuple[Any, Memory], tuple[Parameters, float]]

    @property
    def k(self) -> int:
        """Words per step."""
        return self.bundle.manifest.retrieval.k

    @property
    def window(self) -> int:
        """Token positions that attention can reach."""
        return self.bundle.manifest.memory.window

    def describe(self, *, default: bool) -> agent_pb2.Agent:
        """What clients are told."""
        manifest = self.bundle.manifest
        size = manifest.observation
        return agent_pb2.Agent(
            name=manifest.name,
            digest=manifest.digest,
            description=manifest.description,
            observation=agent_pb2.ObservationSpec(height=size.height, width=size.width),
            action_space=action_space_message(manifest.actions),
            window=self.window,
            tokens_per_step=self.k,
            vocabulary_size=self.vocabulary_size,
            environments=manifest.environments,
            default=default,
        )


def load_agent(bundle: AgentBundle, settings: AgentSettings, triton: Triton | None) -> PolicyAgent:
    """One agent with its queues: before a thread of this process, or before the model in `triton`."""
    encode: Queue[Frame, Any]
    decide: Queue[tuple[Any, Memory], tuple[Parameters, float]]
    if triton:
        encode, decide = FramesAsTheyAre(), triton_policy(triton, model_name("policy", bundle.digest))
    else:
        encode, decide = _local(PolicyEngine(load_actor_critic(bundle), settings.device), settings)
    return PolicyAgent(
        bundle=bundle,
        vocabulary_size=len(Vocabulary.load(bundle.path(bundle.manifest.retrieval.vocabulary))),
        heads=action_heads(bundle.manifest.actions),
        encode=encode,
        decide=decide,
    )


def _local(
    engine: PolicyEngine, settings: AgentSettings
) -> tuple[Batcher[Frame, Features], Batcher[tuple[Features, Memory], tuple[Parameters, float]]]:
    executor = ThreadPoolExecutor(1, thread_name_prefix="policy")
    limits: dict[str, Any] = {"max_size": settings.max_batch, "max_queue": settings.max_queue}
    return (
        Batcher(in_thread(engine.encode, executor), name="policy encode", max_wait=settings.max_wait, **limits),
        Batcher(in_thread(engine.decide, executor), name="policy decide", max_wait=settings.max_wait, **limits),
    )


class Agents:
    """Agents by name and digest; the first is the default."""

    def __init__(self, agents: Sequence[PolicyAgent]) -> None:
        self._by_digest = {agent.bundle.digest: agent for agent in agents}
        # The first of a name serves new episodes; older bundles of that name serve the episodes that began with them.
        self._by_name = {agent.bundle.name: agent for agent in reversed(agents)}
        self.default = agents[0]

    def find(self, name: str) -> PolicyAgent:
        """By name or digest; empty is the default."""
        agent = self._by_name.get(name) or self._by_digest.get(name) if name else self.default
        if agent is None:
            name = name[:64]  # errors travel in headers, which are small
            known = ", ".join(self._by_name)
            text = f"agent: no agent {name!r}; this server has {known}"
            raise ServiceError(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", text, metadata={"agent": name}, field="agent")
        return agent

    def pinned(self, digest: str) -> PolicyAgent:
        """The agent that an episode began with."""
        if digest not in self._by_digest:
            text = f"the episode began with agent bundle {digest}, which this server has not loaded"
            raise ServiceError(
                grpc.StatusCode.FAILED_PRECONDITION, "AGENT_NOT_LOADED", text, metadata={"agent_digest": digest}
            )
        return self._by_digest[digest]

    def window(self, digest: str) -> int:
        """Token positions that the agent's attention can reach; 0 if it is not loaded."""
        agent = self._by_digest.get(digest)
        return agent.window if agent else 0

    def check_retained(self, steps: int) -> None:
        """ValueError if so few retained steps would make a rebuild impossible."""
        for agent in self._by_digest.values():
            part = agent.bundle.manifest.memory
            needed = -(-history_reach(part.layers, part.window) // agent.k)
            if steps < needed:
                name = agent.bundle.name
                raise ValueError(f"SHELM_RETAINED_STEPS: agent {name!r} needs at least {needed} to rebuild, got {steps}")

    def describe(self) -> list[agent_pb2.Agent]:
        """All agents, the default first."""
        return [agent.describe(default=agent is self.default) for agent in self._by_digest.values()]

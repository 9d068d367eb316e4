"""MemoryService: proto <-> `MemorySlots`, one queue per agent.

Contract: concurrent items share a forward. A slot miss is an answer of the engine; the service reads the history, rebuilds
and takes the step in one go, so a caller only sees `rebuilt=true`, however few slots there are. Failure policy: a bad
item fails alone with its field; a history that Redis does not hold gives HISTORY_MISMATCH.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from shelm.v1 import memory_pb2, memory_pb2_grpc

from services.domain.bundle import AgentBundle
from services.domain.history import MemoryStep, MemoryVector
from services.domain.settings import AgentSettings
from services.domain.status import agent_not_loaded, item_status
from services.domain.triton import model_name
from services.domain.vocabulary import Vocabulary
from services.memory.checks import StepCheck
from services.memory.engine import LocalMemory, MemoryEngine
from services.memory.model import MemorySlots
from services.memory.tensors import Counts
from services.memory.triton import TritonMemory
from services.memory.weights import LanguageModelSpec, load_language_model
from services.runtime.errors import Context, ServiceError, deadline_of, invalid
from services.runtime.triton import Triton


class Histories(Protocol):
    """Where committed words are read."""

    async def last_words(self, episode_id: str, *, step: int, steps: int, digest: bytes) -> list[int]:
        """See services.memory.history."""


@dataclass(frozen=True)
class MemoryAgent:
    """What memory needs of one agent."""

    bundle: AgentBundle
    engine: MemoryEngine


def load_slots(bundle: AgentBundle, *, device: str, slots: int) -> MemorySlots:
    """The engine that a bundle describes."""
    manifest = bundle.manifest
    vocabulary = Vocabulary.load(bundle.path(manifest.retrieval.vocabulary))
    part = manifest.memory
    spec = LanguageModelSpec(
        kind=part.kind, source=bundle.source(part.source), layers=part.layers, window=part.window, sha256=part.sha256
    )
    word_ids: torch.Tensor = vocabulary.token_ids
    model = load_language_model(spec, word_ids=word_ids, tokens_per_step=manifest.retrieval.k, device=device)
    if model.dimension != part.dimension:
        raise ValueError(
            f"agent {bundle.name}: memory.dimension: expected {model.dimension} of the language model, got {part.dimension}"
        )
    return MemorySlots(language_model=model, vocabulary_size=len(vocabulary), agent_digest=bundle.digest, slots=slots)


def load_agent(bundle: AgentBundle, settings: AgentSettings, slots: int, triton: Triton | None) -> MemoryAgent:
    """One agent with its engine: its slots in this process, or the model in `triton`."""
    if triton:
        k, size = bundle.manifest.retrieval.k, len(Vocabulary.load(bundle.path(bundle.manifest.retrieval.vocabulary)))
        check = StepCheck(tokens_per_step=k, vocabulary_size=size, agent_digest=bundle.digest)
        model = model_name("memory", bundle.digest)
        return MemoryAgent(bundle, TritonMemory(triton, model, tokens_per_step=k, check=check))
    return MemoryAgent(bundle, LocalMemory(load_slots(bundle, device=settings.device, slots=slots), settings))


class MemoryServicer(memory_pb2_grpc.MemoryServiceServicer):
    """Serves the memory of some agents."""

    def __init__(self, agents: Sequence[MemoryAgent], histories: Histories) -> None:
        self._agents = {agent.bundle.digest: agent for agent in agents}
        self._histories = histories

    async def remember(self, agent_digest: str, step: MemoryStep, *, deadline: float | None) -> tuple[MemoryVector, bool]:
        """One step; the vector and whether the memory state was rebuilt. Also the way in for a policy nearby."""
        agent = self._agent(agent_digest)
        try:
            answer = await agent.engine.submit(step, deadline=deadline)
        except ValueError as error:
            field, _, problem = str(error).partition(": ")
            raise invalid(field, problem) from None
        if isinstance(answer, MemoryVector):
            return answer, False
        words = await self._histories.last_words(step.episode_id, step=step.step, steps=answer.steps, digest=step.history)
        return await agent.engine.rebuild(step, words, deadline=deadline), True

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""
        return sum([await agent.engine.forget(episode_ids) for agent in self._agents.values()])

    async def Remember(  # noqa: N802
        self, request: memory_pb2.RememberRequest, context: Context
    ) -> memory_pb2.RememberResponse:
        """See memory.proto."""
        deadline = deadline_of(context)
        items = enumerate(request.items)
        return memory_pb2.RememberResponse(
            results=await asyncio.gather(*(self._result(i, one, deadline) for i, one in items))
        )

    async def _result(self, index: int, item: memory_pb2.RememberItem, deadline: float | None) -> memory_pb2.RememberResult:
        step = MemoryStep(item.episode_id, item.step, tuple(item.word_ids), item.history_digest)
        try:
            answer, rebuilt = await self.remember(item.agent_digest, step, deadline=deadline)
        except ServiceError as error:
            return memory_pb2.RememberResult(status=item_status(error.within(f"items[{index}]")))
        vector = answer.vector.astype("<f4").tobytes()
        remembered = memory_pb2.Remembered(vector=vector, history_digest=answer.history, rebuilt=rebuilt)
        return memory_pb2.RememberResult(remembered=remembered)

    async def Forget(  # noqa: N802
        self, request: memory_pb2.ForgetRequest, context: Context
    ) -> memory_pb2.ForgetResponse:
        """See memory.proto."""
        return memory_pb2.ForgetResponse(dropped=await self.forget(request.episode_ids))

    async def GetMemoryStats(  # noqa: N802
        self, request: memory_pb2.GetMemoryStatsRequest, context: Context
    ) -> memory_pb2.GetMemoryStatsResponse:
        """See memory.proto."""
        agents = [_stats(agent.bundle, await agent.engine.counts()) for agent in self._agents.values()]
        return memory_pb2.GetMemoryStatsResponse(agents=agents)

    def _agent(self, digest: str) -> MemoryAgent:
        if digest not in self._agents:
            raise agent_not_loaded(digest)
        return self._agents[digest]


def _stats(bundle: AgentBundle, counts: Counts) -> memory_pb2.AgentMemoryStats:
    return memory_pb2.AgentMemoryStats(
        agent_digest=bundle.digest,
        slots=counts.slots,
        used=counts.used,
        hits=counts.hits,
        repeats=counts.repeats,
        rebuilds=counts.rebuilds,
        evictions=counts.evictions,
    )

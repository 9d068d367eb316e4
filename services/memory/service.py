"""MemoryService: proto <-> `MemorySlots`, one queue per agent.

Contract: concurrent items share a forward. A slot miss is an answer of the engine; the service reads the history, rebuilds
and takes the step in one go, so a caller only sees `rebuilt=true`, however few slots there are. Failure policy: a bad
item fails alone with its field; a history that Redis does not hold gives HISTORY_MISMATCH.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import torch
from shelm.v1 import memory_pb2, memory_pb2_grpc

from services.domain.bundle import AgentBundle
from services.domain.history import MemoryStep, MemoryVector
from services.domain.settings import AgentSettings
from services.domain.status import agent_not_loaded, item_status
from services.domain.vocabulary import Vocabulary
from services.memory.model import MemorySlots, SlotMiss
from services.memory.weights import LanguageModelSpec, load_language_model
from services.runtime.batching import Batcher, in_thread
from services.runtime.errors import Context, ServiceError, deadline_of, invalid

Answer = MemoryVector | SlotMiss
Result = TypeVar("Result")


class Histories(Protocol):
    """Where committed words are read."""

    async def last_words(self, episode_id: str, *, step: int, steps: int, digest: bytes) -> list[int]:
        """See services.memory.history."""


@dataclass(frozen=True)
class MemoryAgent:
    """What memory needs of one agent."""

    bundle: AgentBundle
    slots: MemorySlots
    batcher: Batcher[MemoryStep, Answer]
    executor: ThreadPoolExecutor  # the one thread that touches the slots


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


def load_agent(bundle: AgentBundle, settings: AgentSettings, slots: int) -> MemoryAgent:
    """Loads one agent and gives it a queue and a thread."""
    engine = load_slots(bundle, device=settings.device, slots=slots)
    executor = ThreadPoolExecutor(1, thread_name_prefix="memory")
    batcher: Batcher[MemoryStep, Answer] = Batcher(
        in_thread(engine.remember, executor),
        name="memory",
        max_size=settings.max_batch,
        max_wait=settings.max_wait,
        max_queue=settings.max_queue,
    )
    return MemoryAgent(bundle, engine, batcher, executor)


class MemoryServicer(memory_pb2_grpc.MemoryServiceServicer):
    """Serves the memory of some agents."""

    def __init__(self, agents: Sequence[MemoryAgent], histories: Histories) -> None:
        self._agents = {agent.bundle.digest: agent for agent in agents}
        self._histories = histories

    async def remember(self, agent_digest: str, step: MemoryStep, *, deadline: float | None) -> tuple[MemoryVector, bool]:
        """One step; the vector and whether the memory state was rebuilt. Also the way in for a policy nearby."""
        agent = self._agent(agent_digest)
        try:
            answer = await agent.batcher.submit(step, deadline=deadline)
        except ValueError as error:
            field, _, problem = str(error).partition(": ")
            raise invalid(field, problem) from None
        if isinstance(answer, MemoryVector):
            return answer, False
        words = await self._histories.last_words(step.episode_id, step=step.step, steps=answer.steps, digest=step.history)
        return await self._in_engine(agent, partial(_rebuild_and_remember, agent.slots, step, words)), True

    async def _in_engine(self, agent: MemoryAgent, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(agent.executor, work)

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""
        return sum(
            [await self._in_engine(agent, partial(_forget, agent.slots, episode_ids)) for agent in self._agents.values()]
        )

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
        return memory_pb2.GetMemoryStatsResponse(agents=[_stats(agent) for agent in self._agents.values()])

    def _agent(self, digest: str) -> MemoryAgent:
        if digest not in self._agents:
            raise agent_not_loaded(digest)
        return self._agents[digest]


def _rebuild_and_remember(slots: MemorySlots, step: MemoryStep, words: Sequence[int]) -> MemoryVector:
    """Both at once, so that no other episode takes the slot in between, however few there are."""
    slots.rebuild(step.episode_id, step.step, words, step.history)
    (answer,) = slots.remember([step])
    if not isinstance(answer, MemoryVector):
        raise RuntimeError(f"a slot that was just rebuilt answers {answer!r}")
    return answer


def _stats(agent: MemoryAgent) -> memory_pb2.AgentMemoryStats:
    counts = agent.slots.counts
    return memory_pb2.AgentMemoryStats(
        agent_digest=agent.bundle.digest,
        slots=agent.slots.capacity,
        used=agent.slots.used,
        hits=counts.hits,
        repeats=counts.repeats,
        rebuilds=counts.rebuilds,
        evictions=counts.evictions,
    )


def _forget(slots: MemorySlots, episode_ids: Sequence[str]) -> int:
    return sum(slots.forget(episode_id) for episode_id in episode_ids)

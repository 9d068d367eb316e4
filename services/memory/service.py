"""MemoryService: converts between protobuf messages and `MemorySlots`, with one queue per agent.

Contract: concurrent items share a forward pass. If the engine reports a slot miss, the service reads the history, rebuilds
and computes the step in one operation, so the caller only sees `rebuilt=true`, however few slots there are.

Failure policy: an invalid item fails alone, with its field named; a history that Redis does not contain gives
HISTORY_MISMATCH; one invalid history fails the whole EncodeHistories call.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.bundle import AgentBundle
from agent.engines.memory import load_slots
from agent.history import MemoryStep, MemoryVector, words_needed
from agent.memory.checks import StepCheck
from agent.memory.slots import SlotCounts, SlotMiss
from agent.vocabulary import load_vocabulary
from services.agent_settings import AgentSettings
from services.memory.engine import LocalMemory, MemoryEngine
from services.protocol.status import agent_not_loaded, failed_item
from services.protocol.stubs import memory_pb2, memory_pb2_grpc
from services.runtime import traces
from services.runtime.batching import outcome_of, together
from services.runtime.errors import Context, ServiceError, check_deadline, deadline_of, invalid
from services.runtime.logs import in_episode
from services.triton.memory import TritonMemory
from services.triton.models import model_name
from services.triton.servers import TritonServers

log = logging.getLogger(__name__)
MAX_HISTORIES = 2048  # per EncodeHistories call
Remembered = tuple[MemoryVector, bool]  # the vector after a step, and whether the memory state was rebuilt
REMEMBER = "/shelm.internal.v1.MemoryService/Remember"


class Histories(Protocol):
    """Access to committed words."""

    async def last_words(
        self, episode_id: str, *, step: int, steps: int, digest: bytes, words: int | None = None
    ) -> list[int]:
        """Returns the vocabulary rows of the `steps` steps before `step`, as services.store.history does."""


@dataclass(frozen=True)
class MemoryAgent:
    """The engine and settings of one agent in the memory service."""

    bundle: AgentBundle
    engine: MemoryEngine
    check: StepCheck


def load_agent(bundle: AgentBundle, settings: AgentSettings, slots: int, triton: TritonServers | None) -> MemoryAgent:
    """Loads one agent with its engine: slots in this process, or the model in `triton`."""
    if triton:
        k, size = bundle.manifest.retrieval.k, len(load_vocabulary(bundle))
        check = StepCheck(tokens_per_step=k, vocabulary_size=size, agent_digest=bundle.digest)
        model = model_name("memory", bundle.digest)
        return MemoryAgent(bundle, TritonMemory(triton, model, tokens_per_step=k, check=check), check)
    share = len(settings.load_bundles_with_words())
    local = load_slots(
        bundle,
        device=settings.device,
        slots=slots,
        slot_bytes=settings.slot_bytes // share,
        host_bytes=settings.host_slot_bytes // share,
        dtype=settings.dtype,
    )
    log.info("agent %s: %d memory slots in %s on %s", bundle.name, local.capacity, local.dtype, settings.device)
    return MemoryAgent(bundle, LocalMemory(local, settings), local.check)


class MemoryServicer(memory_pb2_grpc.MemoryServiceServicer):
    """Serves the memory of the loaded agents."""

    def __init__(self, agents: Sequence[MemoryAgent], histories: Histories) -> None:
        self._agents = {agent.bundle.digest: agent for agent in agents}
        self._histories = histories
        self._tracer = traces.tracer()

    async def remember(
        self, agent_digest: str, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> Sequence[Remembered | BaseException]:
        """Computes one step in each of several episodes; returns the vector and whether the memory state was rebuilt, or the
        error, of each. Called by a policy in the same process.
        """
        agent = self._agent(agent_digest)
        found: dict[int, Remembered | BaseException] = {}
        missing = {}
        for i, outcome in enumerate(await agent.engine.put(steps, deadline=deadline)):
            if isinstance(outcome, SlotMiss):
                missing[i] = outcome_of(self._rebuild(agent, steps[i], outcome, deadline))
            else:
                found[i] = _remembered(outcome)
        if missing:
            found.update(zip(missing, await together(list(missing.values())), strict=True))
        return [found[i] for i in range(len(steps))]

    async def _rebuild(self, agent: MemoryAgent, step: MemoryStep, miss: SlotMiss, deadline: float | None) -> Remembered:
        in_episode(step.episode_id, step.step)
        with traces.span("rebuild", **{"shelm.steps": miss.steps}):
            words = await self._history(step, miss.steps)
            log.debug("rebuilding from %d steps", miss.steps)
            return await agent.engine.rebuild(step, words, deadline=deadline), True

    async def _history(self, step: MemoryStep, steps: int) -> list[int]:
        with traces.span("read"):
            return await self._histories.last_words(
                step.episode_id,
                step=step.step,
                steps=steps,
                digest=step.history_digest,
                words=words_needed(step.length, steps, len(step.vocabulary_rows)),
            )

    async def encode_histories(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str = "", deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """Returns the memory vectors of hypothetical histories. episode_id: selects the replica, where there are several."""
        agent = self._agent(agent_digest)
        if len(histories) > MAX_HISTORIES:
            raise invalid("histories", f"expected at most {MAX_HISTORIES:,}, got {len(histories):,}")
        for i, words in enumerate(histories):
            try:
                agent.check.history(words)
            except ValueError as error:
                raise invalid(f"histories[{i}].word_ids", str(error).partition(": ")[2]) from None
        check_deadline(deadline)
        return await agent.engine.encode_histories(histories, deadline=deadline)

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""
        return sum([await agent.engine.forget(episode_ids) for agent in self._agents.values()])

    async def Remember(  # noqa: N802
        self, request: memory_pb2.RememberRequest, context: Context
    ) -> memory_pb2.RememberResponse:
        """Computes one step in each of several episodes; items succeed and fail individually."""
        deadline = deadline_of(context)
        if not self._tracer:
            results = await self._results(request.items, deadline)
        else:
            traced = [self._traced_results(i, one, deadline) for i, one in enumerate(request.items)]
            results = [result for (result,) in await together(traced)]
        return memory_pb2.RememberResponse(results=results)

    async def _traced_results(
        self, index: int, item: memory_pb2.RememberItem, deadline: float | None
    ) -> list[memory_pb2.RememberResult]:
        assert self._tracer
        with self._tracer.item(index, REMEMBER):
            return await self._results([item], deadline, first=index)

    async def _results(
        self, items: Sequence[memory_pb2.RememberItem], deadline: float | None, *, first: int = 0
    ) -> list[memory_pb2.RememberResult]:
        """Computes items, those of one agent together. first: number of the first item in its request."""
        steps = [_step(one) for one in items]
        agents: dict[str, list[int]] = {}
        for i, item in enumerate(items):
            agents.setdefault(item.agent_digest, []).append(i)
        outcomes = await together(
            [self._outcomes(digest, [steps[i] for i in of], deadline) for digest, of in agents.items()]
        )
        results = [memory_pb2.RememberResult()] * len(items)
        for of, found in zip(agents.values(), outcomes, strict=True):
            for i, outcome in zip(of, found, strict=True):
                results[i] = _result(first + i, outcome)
        return results

    async def _outcomes(
        self, agent_digest: str, steps: Sequence[MemoryStep], deadline: float | None
    ) -> Sequence[Remembered | BaseException]:
        try:
            return await self.remember(agent_digest, steps, deadline=deadline)
        except ServiceError as error:
            return [error] * len(steps)

    async def EncodeHistories(  # noqa: N802
        self, request: memory_pb2.EncodeHistoriesRequest, context: Context
    ) -> memory_pb2.EncodeHistoriesResponse:
        """Returns the memory vectors of hypothetical histories."""
        histories = [one.word_ids for one in request.histories]
        vectors = await self.encode_histories(request.agent_digest, histories, deadline=deadline_of(context))
        return memory_pb2.EncodeHistoriesResponse(vectors=[vector.astype("<f4").tobytes() for vector in vectors])

    async def Forget(  # noqa: N802
        self, request: memory_pb2.ForgetRequest, context: Context
    ) -> memory_pb2.ForgetResponse:
        """Drops memory slots."""
        return memory_pb2.ForgetResponse(dropped=await self.forget(request.episode_ids))

    async def GetMemoryStats(  # noqa: N802
        self, request: memory_pb2.GetMemoryStatsRequest, context: Context
    ) -> memory_pb2.GetMemoryStatsResponse:
        """Returns usage and counters of the memory slots."""
        agents = [_stats(agent, await agent.engine.counts()) for agent in self._agents.values()]
        return memory_pb2.GetMemoryStatsResponse(agents=agents)

    def _agent(self, digest: str) -> MemoryAgent:
        if digest not in self._agents:
            raise agent_not_loaded(digest)
        return self._agents[digest]


def _step(item: memory_pb2.RememberItem) -> MemoryStep:
    length = item.length if item.HasField("length") else None
    return MemoryStep(item.episode_id, item.step, tuple(item.word_ids), item.history_digest, length)


def _remembered(outcome: MemoryVector | BaseException) -> Remembered | BaseException:
    if isinstance(outcome, ValueError):
        field, _, problem = str(outcome).partition(": ")
        return invalid(field, problem)
    return outcome if isinstance(outcome, BaseException) else (outcome, False)


def _result(index: int, outcome: Remembered | BaseException) -> memory_pb2.RememberResult:
    if isinstance(outcome, BaseException):
        return memory_pb2.RememberResult(status=failed_item(outcome, REMEMBER, f"items[{index}]"))
    answer, rebuilt = outcome
    vector = answer.vector.astype("<f4", copy=False).tobytes()
    remembered = memory_pb2.Remembered(vector=vector, history_digest=answer.history_digest, rebuilt=rebuilt)
    return memory_pb2.RememberResult(remembered=remembered)


def _stats(agent: MemoryAgent, counts: SlotCounts) -> memory_pb2.AgentMemoryStats:
    return memory_pb2.AgentMemoryStats(
        agent_digest=agent.bundle.digest,
        dtype=agent.engine.dtype,
        slots=counts.slots,
        used=counts.used,
        hits=counts.hits,
        repeats=counts.repeats,
        rebuilds=counts.rebuilds,
        evictions=counts.evictions,
    )

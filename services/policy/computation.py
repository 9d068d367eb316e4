"""How a policy service computes steps: through retrieval and memory, or by one call of Triton.

Failure policy: what is missing is told as `Ready` does; nothing is asked of a service that no step needs.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.bundle import AgentBundle
from services.policy.backends.interfaces import Memory, Retrieval, Slots
from services.policy.caches import CachedRetrieval
from services.policy.one_call import OneCall
from services.policy.pipeline import Pipeline
from services.policy.settings import PolicyServerSettings
from services.runtime.server import Ready
from services.runtime.slot_metrics import export_slots
from services.runtime.telemetry import agent_labels
from services.store.history import HistoryReader
from services.triton.act import TritonAct
from services.triton.models import model_name
from services.triton.servers import TritonServers


@dataclass(frozen=True)
class Backends:
    """Retrieval and memory, and what is missing of them."""

    retrieval: Retrieval
    memory: Memory
    missing: Ready


@dataclass(frozen=True)
class Computation:
    """The computation of steps, the memory slots that it uses, and what is missing for it."""

    steps: Pipeline | OneCall
    slots: Slots
    missing: Ready


def make_computation(
    settings: PolicyServerSettings,
    bundles: Sequence[AgentBundle],
    triton: TritonServers | None,
    redis: Any,
    connect: Callable[[], Backends],
) -> Computation:
    """Makes the computation of agents with words. redis: of `connect_redis`. connect: called where services are needed."""
    labels = {bundle.digest: agent_labels(bundle.name, bundle.digest) for bundle in bundles}
    if triton and settings.one_call:
        models = {bundle.digest: TritonAct(triton, bundle) for bundle in bundles}
        export_slots({labels[digest]: model.slots.counts for digest, model in models.items()})
        steps = OneCall(models, HistoryReader(redis))
        return Computation(steps, steps, lambda: triton.missing(model.model for model in models.values()))
    backends = connect()
    kept = settings.policy_cache_frames
    cached = CachedRetrieval(backends.retrieval, labels, size=kept, count_misses=triton is not None)

    async def missing() -> list[str]:
        asked = [backends.missing()]
        if triton:
            asked.append(triton.missing(model_name("policy", bundle.digest) for bundle in bundles))
        return [problem for answer in await asyncio.gather(*asked) for problem in answer]

    return Computation(Pipeline(cached, backends.memory), backends.memory, missing)

"""The agents that a policy service can serve: their bundles, actor-critics and queues.

Failure policy: an unknown agent is AGENT_NOT_FOUND; the agent of a running episode that is no longer loaded is
AGENT_NOT_LOADED.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from shelm.v1 import errors_pb2

from agent.bundle import AgentBundle, Bundle, WordlessBundle
from agent.engines.policy import load_policy
from agent.engines.wordless import load_wordless
from agent.frame import Observation
from agent.history import history_reach
from agent.policy.actor_critic import Features, Parameters, PolicyEngine, Vector
from agent.policy.heads import Head, action_heads
from agent.vocabulary import load_vocabulary
from agent.wordless.policy import Decided, Item
from services.agent_settings import AgentSettings
from services.policy.caches import CachedEncoder
from services.protocol.reasons import failure
from services.runtime.batching import Queue, in_thread, make_batcher
from services.triton.models import Op, model_name
from services.triton.policy import FramesAsTheyAre, triton_policy
from services.triton.servers import TritonServers

INLINE_BELOW = 0.001  # seconds that a decision may keep the event loop; the way to a thread and back costs 0.2 to 0.5 ms


@dataclass(frozen=True, kw_only=True)
class ServedAgent:
    """What policy needs of every agent. words: its vocabulary, by row; empty unless it keeps some, and the window 0."""

    bundle: Bundle
    heads: tuple[Head, ...]
    words: tuple[str, ...] = ()

    @property
    def window(self) -> int:
        """Token positions that attention can reach."""
        return 0


@dataclass(frozen=True, kw_only=True)
class PolicyAgent(ServedAgent):
    """What policy needs of an agent whose memory is words."""

    bundle: AgentBundle
    encode: Queue[Observation, Any]  # what `decide` wants to know of a frame
    decide: Queue[tuple[Any, Vector], tuple[Parameters, float]]
    rows: Mapping[str, int]  # of the vocabulary, by word; the first of equal ones

    @property
    def k(self) -> int:
        """Words per step."""
        return self.bundle.manifest.retrieval.k

    @property
    def window(self) -> int:
        """Token positions that attention can reach."""
        return self.bundle.manifest.memory.window

    @property
    def reach(self) -> int:
        """How many words before a word its memory vector depends on, through all layers."""
        return history_reach(self.bundle.manifest.memory.layers, self.window)


@dataclass(frozen=True, kw_only=True)
class WordlessAgent(ServedAgent):
    """What policy needs of an agent without words. state_bytes: of the state that an episode keeps from step to step."""

    bundle: WordlessBundle
    state_bytes: int
    decide: Queue[Item, Decided]

    @property
    def channels(self) -> int:
        """Of a frame: 1, grey, or 3."""
        return self.bundle.manifest.observation.channels


def load_served(
    bundle: Bundle, settings: AgentSettings, triton: TritonServers | None, *, cache_frames: int = 0
) -> ServedAgent:
    """Loads an agent with words or without; one without is always run in this process."""
    if isinstance(bundle, WordlessBundle):
        return _load_wordless(bundle, settings)
    assert isinstance(bundle, AgentBundle)
    return load_agent(bundle, settings, triton, cache_frames=cache_frames)


def _load_wordless(bundle: WordlessBundle, settings: AgentSettings) -> WordlessAgent:
    policy = load_wordless(bundle, threads=settings.torch_threads, allow_code=settings.allow_code)
    executor = ThreadPoolExecutor(1, thread_name_prefix="policy")
    return WordlessAgent(
        bundle=bundle,
        heads=action_heads(bundle.manifest.actions),
        state_bytes=policy.state_bytes,
        decide=make_batcher(in_thread(policy.decide, executor), name="policy decide", **_limits(settings)),
    )


def load_agent(
    bundle: AgentBundle, settings: AgentSettings, triton: TritonServers | None, *, cache_frames: int = 0
) -> PolicyAgent:
    """Loads one agent, with queues to a thread of this process or to the model in `triton`.

    cache_frames: frames whose features are kept in this process.
    """
    encode: Queue[Observation, Any]
    decide: Queue[tuple[Any, Vector], tuple[Parameters, float]]
    if triton:
        encode = FramesAsTheyAre()
        if settings.one_call:
            decide = triton_policy(triton, model_name("act", bundle.digest), {"OP": np.array([Op.DECIDE], np.uint8)})
        else:
            decide = triton_policy(triton, model_name("policy", bundle.digest))
    else:
        features, decide = _local(load_policy(bundle, device=settings.device), settings)
        encode = CachedEncoder(features, size=cache_frames)
    words = load_vocabulary(bundle).words
    return PolicyAgent(
        bundle=bundle,
        words=tuple(words),
        rows={word: row for row, word in reversed(list(enumerate(words)))},
        heads=action_heads(bundle.manifest.actions),
        encode=encode,
        decide=decide,
    )


def _limits(settings: AgentSettings) -> dict[str, Any]:
    return {"max_size": settings.max_batch, "max_wait": settings.max_wait, "max_queue": settings.max_queue}


def _local(
    engine: PolicyEngine, settings: AgentSettings
) -> tuple[Queue[Observation, Features], Queue[tuple[Features, Vector], tuple[Parameters, float]]]:
    executor = ThreadPoolExecutor(1, thread_name_prefix="policy")
    limits = _limits(settings)

    def encode(observations: list[Observation]) -> list[Features]:
        return engine.encode([one.frame for one in observations])

    return (
        make_batcher(in_thread(encode, executor), name="policy encode", **limits),
        make_batcher(in_thread(engine.decide, executor, inline_below=INLINE_BELOW), name="policy decide", **limits),
    )


class Agents:
    """Agents by name and digest; the first is the default."""

    def __init__(self, agents: Sequence[ServedAgent]) -> None:
        self._by_digest = {agent.bundle.digest: agent for agent in agents}
        # The first of a name serves new episodes; older bundles of that name serve the episodes that began with them.
        self._by_name = {agent.bundle.name: agent for agent in reversed(agents)}
        self.default = agents[0]

    def find(self, name: str, *, field: str = "agent") -> ServedAgent:
        """By name or digest; empty is the default. field: path of the name in the request."""
        agent = self._by_name.get(name) or self._by_digest.get(name) if name else self.default
        if agent is None:
            name = name[:64]  # errors travel in headers, which are small
            known = ", ".join(self._by_name)
            text = f"{field}: no agent {name!r}; this server has {known}"
            raise failure(errors_pb2.ERROR_REASON_AGENT_NOT_FOUND, text, metadata={"agent": name}, field=field)
        return agent

    def pinned(self, digest: str) -> ServedAgent:
        """The agent with this bundle digest, which an episode began with."""
        if digest not in self._by_digest:
            text = f"the episode began with agent bundle {digest}, which this server has not loaded"
            raise failure(errors_pb2.ERROR_REASON_AGENT_NOT_LOADED, text, metadata={"agent_digest": digest})
        return self._by_digest[digest]

    def window(self, digest: str) -> int:
        """Token positions that the agent's attention can reach; 0 if it is not loaded."""
        agent = self._by_digest.get(digest)
        return agent.window if agent else 0

    def wordless(self, digest: str) -> bool:
        """Whether the agent with this bundle digest is loaded and keeps no words."""
        return isinstance(self._by_digest.get(digest), WordlessAgent)

    @property
    def keep_words(self) -> bool:
        """Whether any of them does."""
        return any(isinstance(agent, PolicyAgent) for agent in self)

    def __iter__(self) -> Iterator[ServedAgent]:
        """All agents, the default first."""
        return iter(self._by_digest.values())

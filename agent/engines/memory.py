"""Builds the memory engine: words -> memory vectors."""

from agent.bundle import AgentBundle
from agent.memory.slots import MemorySlots
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.vocabulary import Vocabulary, load_vocabulary


def make_slots(
    spec: LanguageModelSpec, vocabulary: Vocabulary, *, k: int, agent_digest: str, slots: int, device: str = "cpu"
) -> MemorySlots:
    """Builds the memory slots from their parts: a cache of `slots` episodes, with k words per step."""
    model = load_language_model(spec, lm_token_ids=vocabulary.token_ids, tokens_per_step=k, device=device)
    return MemorySlots(language_model=model, vocabulary_size=len(vocabulary), agent_digest=agent_digest, slots=slots)


def load_slots(bundle: AgentBundle, *, device: str, slots: int) -> MemorySlots:
    """Builds the memory slots of a bundle; raises ValueError if the manifest's dimension does not fit the language model."""
    part = bundle.manifest.memory
    spec = LanguageModelSpec(
        kind=part.kind, source=bundle.source(part.source), layers=part.layers, window=part.window, sha256=part.sha256
    )
    loaded = make_slots(
        spec,
        load_vocabulary(bundle),
        k=bundle.manifest.retrieval.k,
        agent_digest=bundle.digest,
        slots=slots,
        device=device,
    )
    if loaded.dimension != part.dimension:
        raise ValueError(
            f"agent {bundle.name}: memory.dimension: expected {loaded.dimension} of the language model, got {part.dimension}"
        )
    return loaded

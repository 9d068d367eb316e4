"""Builds the memory engine: words -> memory vectors."""

from agent.bundle import AgentBundle
from agent.memory.slots import MemorySlots
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.vocabulary import Vocabulary, load_vocabulary


def make_slots(
    spec: LanguageModelSpec,
    vocabulary: Vocabulary,
    *,
    k: int,
    agent_digest: str,
    slots: int,
    slot_bytes: int | None = None,
    device: str = "cpu",
) -> MemorySlots:
    """Builds the memory slots from their parts, with k words per step.

    slots: number of episodes whose memory state is cached. slot_bytes: the bytes that all slots together may take, which may
    leave fewer slots, but at least one; None for no limit.
    """
    model = load_language_model(spec, lm_token_ids=vocabulary.token_ids, tokens_per_step=k, device=device)
    if slot_bytes is not None:
        slots = max(1, min(slots, slot_bytes // model.new_cache(1).slot_bytes))
    return MemorySlots(language_model=model, vocabulary_size=len(vocabulary), agent_digest=agent_digest, slots=slots)


def load_slots(bundle: AgentBundle, *, device: str, slots: int, slot_bytes: int | None = None) -> MemorySlots:
    """Builds the memory slots of a bundle; slots and slot_bytes as in `make_slots`.

    Raises ValueError if the manifest's dimension does not fit the language model.
    """
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
        slot_bytes=slot_bytes,
        device=device,
    )
    if loaded.dimension != part.dimension:
        raise ValueError(
            f"agent {bundle.name}: memory.dimension: expected {loaded.dimension} of the language model, got {part.dimension}"
        )
    return loaded

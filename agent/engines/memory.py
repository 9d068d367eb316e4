"""Words -> memory vectors."""

from agent.bundle import AgentBundle
from agent.memory.slots import MemorySlots
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.vocabulary import Vocabulary, load_vocabulary


def make_slots(
    spec: LanguageModelSpec, vocabulary: Vocabulary, *, k: int, agent_digest: str, slots: int, device: str = "cpu"
) -> MemorySlots:
    """Words -> memory vectors of up to `slots` episodes at hand, k words a step."""
    model = load_language_model(spec, lm_token_ids=vocabulary.token_ids, tokens_per_step=k, device=device)
    return MemorySlots(language_model=model, vocabulary_size=len(vocabulary), agent_digest=agent_digest, slots=slots)


def load_slots(bundle: AgentBundle, *, device: str, slots: int) -> MemorySlots:
    """Words -> memory vectors, as the bundle says."""
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

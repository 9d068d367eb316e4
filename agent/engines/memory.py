"""Builds the memory engine: words -> memory vectors."""

import torch

from agent.bundle import AgentBundle
from agent.engines.dtype import resolve_dtype
from agent.engines.loading import check_output, loading
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
    host_bytes: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
) -> MemorySlots:
    """Builds the memory slots from their parts, with k words per step.

    slots: number of episodes whose memory state is cached. slot_bytes: the bytes that all slots together may take, which may
    leave fewer slots, but at least one; None for no limit. host_bytes: of the host's memory, for states without a slot;
    none on the CPU, where it would be the same memory. dtype: of the language model and the slots, a name as in
    agent.engines.dtype.
    """
    number = resolve_dtype(dtype, device)
    model = load_language_model(spec, lm_token_ids=vocabulary.token_ids, tokens_per_step=k, device=device, dtype=number)
    if slot_bytes is not None:
        slots = max(1, min(slots, slot_bytes // model.new_cache(1).slot_bytes))
    return MemorySlots(
        language_model=model,
        vocabulary_size=len(vocabulary),
        agent_digest=agent_digest,
        slots=slots,
        host_bytes=0 if torch.device(device).type == "cpu" else host_bytes,
    )


def load_slots(
    bundle: AgentBundle,
    *,
    device: str,
    slots: int,
    slot_bytes: int | None = None,
    host_bytes: int = 0,
    dtype: str = "float32",
) -> MemorySlots:
    """Builds the memory slots of a bundle; the arguments are those of `make_slots`.

    Bundles with the same language model share the weights of the layers that they have in common.

    Raises ValueError if the manifest's dimension does not fit the language model.
    """
    part = bundle.manifest.memory
    spec = LanguageModelSpec(
        kind=part.kind, source=bundle.source(part.source), layers=part.layers, window=part.window, sha256=part.sha256
    )
    with loading(bundle, f"memory.source {part.source}"):
        loaded = make_slots(
            spec,
            load_vocabulary(bundle),
            k=bundle.manifest.retrieval.k,
            agent_digest=bundle.digest,
            slots=slots,
            slot_bytes=slot_bytes,
            host_bytes=host_bytes,
            device=device,
            dtype=dtype,
        )
        tried = torch.from_numpy(loaded.encode_history([0]))
    check_output(bundle, f"memory.source {part.source}", tried)
    if loaded.dimension != part.dimension:
        raise ValueError(
            f"agent {bundle.name}: memory.dimension: expected {loaded.dimension} of the language model, got {part.dimension}"
        )
    return loaded

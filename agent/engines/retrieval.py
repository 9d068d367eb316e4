"""Builds the retrieval engine: frames -> words."""

from agent.bundle import AgentBundle
from agent.retrieval.clip import load_clip
from agent.retrieval.preprocess import Mode
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary, load_vocabulary


def make_retriever(
    clip: str,
    vocabulary: Vocabulary,
    *,
    k: int,
    preprocessing: Mode = "model",
    device: str = "cpu",
    cache_frames: int = 4096,
) -> TokenRetriever:
    """Builds a retriever of the k most similar words from its parts.

    clip: a spec as in agent.retrieval.clip. cache_frames: number of frames whose words are cached.
    """
    return TokenRetriever(
        model=load_clip(clip, device=device).model,
        vocabulary=vocabulary,
        k=k,
        device=device,
        preprocessing=preprocessing,
        cache_frames=cache_frames,
    )


def load_retriever(bundle: AgentBundle, *, device: str, cache_frames: int) -> TokenRetriever:
    """Builds the retriever of a bundle on `device`."""
    part = bundle.manifest.retrieval
    return make_retriever(
        bundle.source(part.clip),
        load_vocabulary(bundle),
        k=part.k,
        preprocessing=part.preprocessing,
        device=device,
        cache_frames=cache_frames,
    )

"""Builds the retrieval engine: frames -> words."""

import torch
from torch import nn

from agent.bundle import AgentBundle
from agent.engines.dtype import resolve_dtype
from agent.engines.loading import check_output, loading, trial_frame
from agent.retrieval.image_tower import load_image_tower
from agent.retrieval.preprocess import Mode
from agent.retrieval.retriever import TokenRetriever
from agent.shared import shared
from agent.vocabulary import Vocabulary, load_vocabulary


def make_retriever(
    clip: str,
    vocabulary: Vocabulary,
    *,
    k: int,
    preprocessing: Mode = "model",
    device: str = "cpu",
    dtype: str = "float32",
    cache_frames: int = 4096,
) -> TokenRetriever:
    """Builds a retriever of the k most similar words from its parts.

    clip: a spec as in agent.retrieval.clip. dtype: of the image tower, a name as in agent.engines.dtype. cache_frames:
    number of frames whose words are cached.
    """
    number = _tower_dtype(dtype, device)
    return TokenRetriever(
        model=load_image_tower(clip, device=device, dtype=number),
        vocabulary=vocabulary,
        k=k,
        device=device,
        dtype=number,
        preprocessing=preprocessing,
        cache_frames=cache_frames,
    )


def load_retriever(bundle: AgentBundle, *, device: str, dtype: str = "float32", cache_frames: int) -> TokenRetriever:
    """Builds the retriever of a bundle on `device`; dtype and cache_frames as in `make_retriever`.

    Bundles with the same CLIP files, or the same vocabulary file, share what is loaded.
    """
    part, number = bundle.manifest.retrieval, _tower_dtype(dtype, device)
    with loading(bundle, f"retrieval.clip {part.clip}"):
        retriever = TokenRetriever(
            model=_shared_tower(bundle, device, number),
            vocabulary=load_vocabulary(bundle),
            k=part.k,
            device=device,
            dtype=number,
            preprocessing=part.preprocessing,
            cache_frames=cache_frames,
        )
        tried = retriever.similarities([trial_frame(bundle.manifest.observation)])
    check_output(bundle, f"retrieval.clip {part.clip}", tried)
    return retriever


def _shared_tower(bundle: AgentBundle, device: str, dtype: torch.dtype) -> nn.Module:
    source = bundle.manifest.retrieval.clip
    folder = source.removeprefix("file:") + "/"
    files = {name.removeprefix(folder): digest for name, digest in bundle.manifest.files.items() if name.startswith(folder)}
    content = tuple(sorted(files.items())) if source.startswith("file:") else source
    key = ("image tower", content, torch.device(device), dtype)
    return shared(key, lambda: load_image_tower(bundle.source(source), device=device, dtype=dtype))


def _tower_dtype(name: str, device: str) -> torch.dtype:
    number = resolve_dtype(name, device)
    return torch.float32 if number is torch.float16 else number

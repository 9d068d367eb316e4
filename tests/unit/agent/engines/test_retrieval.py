"""The retrieval engine of a bundle: dtype by name, and one set of weights for bundles that share them."""

import gc
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.bundle import AgentBundle, load_bundle
from agent.engines.retrieval import load_retriever, make_retriever
from agent.retrieval.retriever import TokenRetriever

MODELS = Path(__file__).parents[4] / "models"


def bundle(name: str) -> AgentBundle:
    return load_bundle(MODELS / name)


def load(name: str, dtype: str = "float32") -> TokenRetriever:
    return load_retriever(bundle(name), device="cpu", dtype=dtype, cache_frames=0)


def load_copy(folder: Path) -> TokenRetriever:
    """The retriever of another folder with the files of minigrid-memory."""
    shutil.copytree(MODELS / "minigrid-memory", folder)
    return load_retriever(load_bundle(folder), device="cpu", dtype="float32", cache_frames=0)


def test_bundles_with_the_same_clip_and_vocabulary_hold_them_once(tmp_path: Path) -> None:
    one, other = load("minigrid-memory"), load_copy(tmp_path / "copy")
    assert one.visual is other.visual
    assert one.vocabulary is other.vocabulary
    assert one.embeddings is other.embeddings


def test_another_clip_or_another_dtype_is_another_object() -> None:
    one, other, short = load("minigrid-memory"), load("minigrid-redbluedoors"), load("minigrid-memory", "bfloat16")
    assert one.visual is not other.visual
    assert one.visual is not short.visual
    assert one.vocabulary is not other.vocabulary
    assert one.vocabulary is short.vocabulary
    assert {parameter.dtype for parameter in one.visual.parameters()} == {torch.float32}


def test_weights_are_freed_with_their_last_user(tmp_path: Path) -> None:
    one, other = load("minigrid-memory"), load_copy(tmp_path / "copy")
    tower, words = weakref.ref(one.visual), weakref.ref(one.vocabulary)
    del one
    gc.collect()
    assert tower() is other.visual
    del other
    gc.collect()
    assert tower() is None
    assert words() is None


@pytest.mark.parametrize("name", ["minigrid-memory", "miniworld-signcolour"])
def test_bfloat16_finds_the_words_of_float32_where_these_are_not_near_ties(name: str) -> None:
    plain, short = load(name), load(name, "bfloat16")
    size = bundle(name).manifest.observation
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (size.height, size.width, 3), dtype=np.uint8) for _ in range(8)]
    exact, near = plain.similarities(frames), short.similarities(frames)
    assert (exact - near).abs().max() < 0.03
    for row, similarities in zip(near, exact, strict=True):
        assert similarities.max() - similarities[row.argmax()] < 0.03


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="SHELM_DTYPE"):
        load("minigrid-memory", "float64")


def test_a_retriever_made_from_parts_equals_the_bundles() -> None:
    given, loaded = bundle("minigrid-memory"), load("minigrid-memory")
    made = make_retriever(
        given.source(given.manifest.retrieval.clip), loaded.vocabulary, k=given.manifest.retrieval.k, cache_frames=0
    )
    frame = np.random.default_rng(0).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    assert made.retrieve([frame]) == loaded.retrieve([frame])

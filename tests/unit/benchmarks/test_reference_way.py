"""The reference way gives what the engines give: otherwise the comparison of their speed would mean nothing."""

from typing import Any

import pytest
import torch
from support.slots import SAME, VOCABULARY, Make, llama, relative_error, transformer_xl

from agent.engines.retrieval import make_retriever
from agent.retrieval.clip import load_clip, preprocess_cfg
from agent.retrieval.preprocess import Preprocessing
from benchmarks.deployments import record_frames
from benchmarks.reference import minigrid_frames, shipped
from benchmarks.reference_way import ReferenceMemory, ReferenceRetrieval


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("window", [4, 9])
@pytest.mark.parametrize("make", [llama, transformer_xl])
def test_memory_vectors_are_those_of_the_engine(make: Make, window: int, k: int) -> None:
    model: Any = make(window, k).model
    words = torch.randint(VOCABULARY, (25, 3, k), generator=torch.Generator().manual_seed(0))
    theirs, cache = ReferenceMemory(model, 3), model.new_cache(3)
    for step, now in enumerate(words):
        expected = theirs.step(now).numpy()
        ours = model.step(cache, torch.arange(3), torch.full((3,), step * k), now).numpy()
        assert relative_error(ours, expected) <= SAME


def test_words_are_those_of_the_engine() -> None:
    profile = shipped("float32")
    clip: Any = load_clip(profile.clip)
    preprocess = Preprocessing(cfg=preprocess_cfg(clip.model), mode="model", device=torch.device("cpu"))
    theirs = ReferenceRetrieval(tower=clip.model.visual.eval(), preprocess=preprocess, vocabulary=profile.vocabulary, k=3)
    frames = minigrid_frames(record_frames(30))(30)
    ours = make_retriever(profile.clip, profile.vocabulary, k=3).retrieve(frames)
    assert theirs.retrieve(frames) == [[word.row for word in words] for words in ours]
    assert len({tuple(words) for words in theirs.retrieve(frames)}) > 1

"""HELM and HELMv2: how they see a frame, and that a row remembers its own episode alone."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, LlamaConfig

from agent.memory.causal_lm import CausalLanguageModel
from training.helm import WARM_UP_FRAMES, ClipInputs, FrozenHopfield
from training.memory import EmbeddingMemory

TOKENS, WIDTH = 40, 16


def embeddings() -> torch.Tensor:
    return torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(3)) * 0.3 + 0.1


def some_frames(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)


def clip_inputs() -> ClipInputs:
    matrix = torch.randn(8 * 8 * 3, 6, generator=torch.Generator().manual_seed(4))

    def encode(frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frames).flatten(1).float() @ matrix

    return ClipInputs(encode=encode, features=6, embeddings=embeddings())


def language_model() -> CausalLanguageModel:
    config = LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=TOKENS,
    )
    torch.manual_seed(0)
    return CausalLanguageModel(
        model=AutoModel.from_config(config), lm_token_ids=torch.arange(TOKENS), window=8, tokens_per_step=1
    )


def test_the_plain_form_of_helmv2_is_the_authors_arithmetic() -> None:
    """Their batch is our warm-up: features minus mean, over deviation, at the scale and centre of the words' embeddings."""
    frames, matrix = some_frames(64), torch.randn(8 * 8 * 3, WIDTH, generator=torch.Generator().manual_seed(4))

    def encode(given: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(given).flatten(1).float() @ matrix

    ours = ClipInputs(encode=encode, features=WIDTH, embeddings=embeddings(), plain=True)(frames)
    features, target = encode(frames), embeddings()
    authors = (features - features.mean(0)) / features.std(0, correction=0) * target.std(0) + target.mean(0)
    torch.testing.assert_close(ours, authors, rtol=1e-4, atol=1e-4)
    normalised = ClipInputs(encode=encode, features=WIDTH, embeddings=embeddings())(frames)
    assert not torch.allclose(normalised, authors, atol=0.1)


def test_a_sharp_hopfield_retrieval_gives_one_embedding_and_a_flat_one_their_mean() -> None:
    frames = some_frames(5)
    sharp = FrozenHopfield(embeddings=embeddings(), pixels=64, beta=1e6)(frames)
    for row in sharp:
        assert (embeddings() - row).norm(dim=1).min() < 1e-5
    flat = FrozenHopfield(embeddings=embeddings(), pixels=64, beta=0.0)(frames)
    torch.testing.assert_close(flat, embeddings().mean(0).expand(5, -1))


def test_the_projections_of_two_seeds_differ_and_0_is_the_usual_one() -> None:
    frames = some_frames(3)

    def encode(frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frames).flatten(1)[:, :6].float()

    def both(**seed: Any) -> list[torch.Tensor]:
        hopfield = FrozenHopfield(embeddings=embeddings(), pixels=64, beta=20.0, **seed)
        inputs = ClipInputs(encode=encode, features=6, embeddings=embeddings(), **seed)
        return [hopfield(frames), inputs.compute(frames)]

    for usual, same, other in zip(both(), both(seed=0), both(seed=1), strict=True):
        torch.testing.assert_close(same, usual, rtol=0, atol=0)
        assert not torch.allclose(other, usual)


def test_helm_averages_over_channels() -> None:
    frames = some_frames(3)
    swapped = np.ascontiguousarray(frames[..., ::-1])
    hopfield = FrozenHopfield(embeddings=embeddings(), pixels=64, beta=20.0)
    torch.testing.assert_close(hopfield(frames), hopfield(swapped))
    assert not torch.allclose(hopfield(frames)[0], hopfield(frames)[1])


def test_helmv2_inputs_have_the_statistics_of_the_language_models_embeddings() -> None:
    inputs = clip_inputs()
    frames = some_frames(256)
    for _ in range(40):
        last = inputs(frames)
    torch.testing.assert_close(last.mean(0), embeddings().mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(last.std(0, correction=0), embeddings().std(0), atol=1e-2, rtol=0)


def test_helmv2_statistics_stand_still_after_the_warm_up_and_are_kept() -> None:
    inputs = clip_inputs()
    for seed in range(WARM_UP_FRAMES // 4096):
        inputs(some_frames(4096, seed))
    frames = some_frames(4, seed=99)
    before = inputs(frames)
    inputs(np.zeros((64, 8, 8, 3), np.uint8))
    assert torch.equal(inputs(frames), before)
    again = clip_inputs()
    again.load_state_dict(inputs.state_dict())
    assert torch.equal(again(frames), before)
    assert torch.equal(torch.cat([again(frames[i : i + 1]) for i in range(4)]), before)  # alone as among others


@pytest.mark.parametrize("method", ["helm", "helmv2"])
def test_a_row_remembers_its_own_episode_and_nothing_else(method: str) -> None:
    embed = clip_inputs() if method == "helmv2" else FrozenHopfield(embeddings=embeddings(), pixels=64, beta=20.0)
    if isinstance(embed, ClipInputs):
        embed.count.fill_(WARM_UP_FRAMES)
    frames = some_frames(12)
    together = EmbeddingMemory(embed=embed, language_model=language_model(), num_envs=3)
    for row in range(3):
        together.begin(row)
    for step in range(4):
        vectors = together.remember(frames[step * 3 : step * 3 + 3], [0, 1, 2])
    alone = EmbeddingMemory(embed=embed, language_model=language_model(), num_envs=1)
    for _ in range(2):  # the second time after `begin`: nothing of the first is left
        alone.begin(0)
        for step in range(4):
            vector = alone.remember(frames[step * 3 + 1 : step * 3 + 2], [0])
        np.testing.assert_allclose(vector[0], vectors[1], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)

"""Every engine computes on the device that its weights are on, tried on tensors that pretend to be on a GPU.

torch's fake tensors have a device, a shape and a dtype, and no data: an operation whose operands are on different devices
raises, as it would on a GPU. What is computed is compared in benchmarks.agreement, where there is one.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from transformers import AutoModel, LlamaConfig

from agent.bundle import AgentBundle, PolicyPart, load_bundle
from agent.memory.causal_lm import CausalLanguageModel
from agent.memory.language_model import LanguageModel, finish
from agent.memory.llama_weights import build_llama
from agent.memory.transformer_xl.model import TransformerXLConfig
from agent.memory.transformer_xl.weights import random_transformer_xl
from agent.policy.actor_critic import ActorCritic
from agent.retrieval.image_tower import load_image_tower
from agent.retrieval.ranking import top_keys
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import load_vocabulary

GPU = torch.device("cuda:0")
WORDS, WINDOW, K = 20, 5, 2
LLAMA = LlamaConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=50,
)
MODELS = Path(__file__).parents[3] / "models"
BUNDLE, RESNET = (load_bundle(MODELS / name) for name in ("minigrid-memory", "miniworld-signcolour"))


@pytest.fixture
def fake() -> Iterator[FakeTensorMode]:
    """What is made inside is fake."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def on_gpu(mode: FakeTensorMode, tensor: Tensor) -> Tensor:
    fake: Tensor = FakeTensor(mode, torch.empty_like(tensor, device="meta"), GPU)
    return fake


def move(mode: FakeTensorMode, module: nn.Module) -> None:
    """What `module.to("cuda")` does, where there is no GPU."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(on_gpu(mode, parameter), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = on_gpu(mode, buffer)


def transformer_xl(mode: FakeTensorMode) -> LanguageModel:
    sizes: dict[str, Any] = {"d_embed": 32, "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64, "n_layer": 3}
    config = TransformerXLConfig(vocab_size=50, cutoffs=(10, 20, 40), **sizes)
    with torch.utils._python_dispatch._disable_current_modes():
        model = random_transformer_xl(0, lm_token_ids=torch.arange(WORDS), window=WINDOW, tokens_per_step=K, config=config)
    move(mode, model)
    return model


def llama(mode: FakeTensorMode) -> LanguageModel:
    with torch.utils._python_dispatch._disable_current_modes():
        base = AutoModel.from_config(LLAMA)
        model = build_llama(
            base.state_dict().__getitem__,
            LLAMA.to_dict(),
            lm_token_ids=torch.arange(WORDS),
            layers=2,
            window=WINDOW,
            tokens_per_step=K,
        )
    move(mode, model)
    return model


def causal_lm(mode: FakeTensorMode) -> LanguageModel:
    with torch.utils._python_dispatch._disable_current_modes():
        base = AutoModel.from_config(LLAMA)
        model = CausalLanguageModel(model=base, lm_token_ids=torch.arange(WORDS), window=WINDOW, tokens_per_step=K)
    move(mode, base)
    model.embeddings = on_gpu(mode, model.embeddings)
    return model


Make = Callable[[FakeTensorMode], LanguageModel]


@pytest.mark.parametrize("make", [transformer_xl, llama, causal_lm])
@pytest.mark.parametrize("length", [0, 4, 40])
def test_a_language_model_steps_and_rebuilds_where_its_weights_are(fake: FakeTensorMode, make: Make, length: int) -> None:
    """The slots' indices, lengths and words come from the CPU, as MemorySlots makes them."""
    with torch.utils._python_dispatch._disable_current_modes():
        slots, lengths = torch.tensor([0, 2]), torch.tensor([length, length + K])
        words, history = torch.tensor([[1, 2], [3, 4]]), torch.arange(length) % WORDS
    model = make(fake)
    cache = model.new_cache(3)
    assert cache.keys.device == cache.values.device == GPU
    vectors = model.step(cache, *map(fake.from_tensor, (slots, lengths, words)))
    assert (vectors.device, vectors.shape, vectors.dtype) == (GPU, (2, model.dimension), torch.float32)
    states = finish(model.rebuilding(*map(fake.from_tensor, (lengths, torch.stack([history, history])))))
    assert {state.device for state in states} == {GPU}
    cache.restore([0, 2], [length, length + K], states)
    assert cache.keys.device == GPU


def test_the_actor_critic_encodes_and_decides_where_its_weights_are(fake: FakeTensorMode) -> None:
    with torch.utils._python_dispatch._disable_current_modes():
        model = ActorCritic(PolicyPart(weights="none"), height=56, width=56, memory=32, actions=7, deviations=2)
    move(fake, model)
    frames = torch.empty(3, 3, 56, 56, dtype=torch.uint8, device=GPU)
    parameters, values = model.decide(model.encode(frames), torch.empty(3, 32, device=GPU))
    assert parameters.device == values.device == GPU
    assert (parameters.shape, values.shape) == ((3, 9), (3,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("mode", "size"), [("model", 56), ("model", 80), ("reference", 56), ("reference", 80)])
@pytest.mark.parametrize("bundle", [BUNDLE, RESNET], ids=lambda bundle: bundle.name)
def test_retrieval_embeds_and_ranks_where_its_weights_are(
    fake: FakeTensorMode, bundle: AgentBundle, mode: Any, size: int, dtype: torch.dtype
) -> None:
    with torch.utils._python_dispatch._disable_current_modes():
        tower = load_image_tower(bundle.source(bundle.manifest.retrieval.clip), device="cpu", dtype=dtype)
        vocabulary = load_vocabulary(bundle)
        retriever = TokenRetriever(model=tower, vocabulary=vocabulary, k=2, device="cpu", dtype=dtype, preprocessing=mode)
        frames = [np.zeros((size, size, 3), np.uint8)] * 2
    move(fake, retriever.visual)
    retriever.embeddings = on_gpu(fake, retriever.embeddings)
    retriever.device = retriever.preprocess.device = GPU
    retriever.preprocess.mean, retriever.preprocess.std = (
        on_gpu(fake, part) for part in (retriever.preprocess.mean, retriever.preprocess.std)
    )
    similarities = retriever.similarities(frames)
    assert (similarities.device, similarities.shape, similarities.dtype) == (GPU, (2, len(vocabulary)), torch.float32)
    keys = top_keys(similarities, 2)
    assert (keys.device, keys.shape) == (GPU, (2, 2))


def test_operands_on_two_devices_are_found(fake: FakeTensorMode) -> None:
    """What these tests rest on."""
    with pytest.raises(RuntimeError, match="device"):
        torch.empty(2, device=GPU) + torch.empty(2)

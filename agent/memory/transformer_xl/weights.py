"""Builds a `TransformerXL` from tensors with published names, or from seeded random tensors.

A `TensorSource` returns one tensor at a time, so that only the needed tensors are read or created: the first n layers, and
the adaptive embedding of the vocabulary's words only (docs/paper.md#q13). The published model's output layers are not used.

Failure policy: ValueError names the number of layers or the token id that is out of range; a source raises its own errors.
"""

import math
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agent.memory.transformer_xl.model import Layer, TransformerXL, TransformerXLConfig
from agent.tensor_checks import check_lm_token_ids

Shape = tuple[int, ...]
TensorSource = Callable[[str, Shape], Tensor]  # (published name, its shape) -> float32 tensor on the CPU

PUBLISHED_NAMES = {
    "queries_keys_values.weight": "dec_attn.qkv_net.weight",
    "position.weight": "dec_attn.r_net.weight",
    "content_bias": "dec_attn.r_w_bias",
    "position_bias": "dec_attn.r_r_bias",
    "merge_heads.weight": "dec_attn.o_net.weight",
    "attention_norm.weight": "dec_attn.layer_norm.weight",
    "attention_norm.bias": "dec_attn.layer_norm.bias",
    "widen.weight": "pos_ff.CoreNet.0.weight",
    "widen.bias": "pos_ff.CoreNet.0.bias",
    "narrow.weight": "pos_ff.CoreNet.3.weight",
    "narrow.bias": "pos_ff.CoreNet.3.bias",
    "feed_forward_norm.weight": "pos_ff.layer_norm.weight",
    "feed_forward_norm.bias": "pos_ff.layer_norm.bias",
}


def assemble_transformer_xl(
    source: TensorSource,
    *,
    config: TransformerXLConfig,
    lm_token_ids: Tensor,
    window: int,
    tokens_per_step: int,
    layers: int | None = None,
    empty_visible: bool = True,
) -> TransformerXL:
    """Builds the model with the weights of `source`, float32 on the CPU.

    lm_token_ids: int64 (words,), the token ids of the vocabulary's words. layers: keep only the first n; default: all. The
    other arguments are those of `TransformerXL`.
    """
    return TransformerXL(
        config=config,
        embeddings=adaptive_embeddings(source, config=config, lm_token_ids=lm_token_ids),
        stack=_stack(source, config=config, layers=layers),
        window=window,
        tokens_per_step=tokens_per_step,
        empty_visible=empty_visible,
    )


def random_transformer_xl(
    seed: int,
    *,
    lm_token_ids: Tensor,
    window: int,
    tokens_per_step: int,
    layers: int | None = None,
    empty_visible: bool = True,
    config: TransformerXLConfig | None = None,
) -> TransformerXL:
    """Builds a model with the published shapes (or those of `config`) and random weights; arguments as for a published one.

    A layer depends only on the seed and its number, an embedding only on the seed and its token id.
    """
    config = config or TransformerXLConfig()
    return TransformerXL(
        config=config,
        embeddings=_random_embeddings(seed, config=config, lm_token_ids=lm_token_ids),
        stack=_stack(_random_source(seed), config=config, layers=layers),
        window=window,
        tokens_per_step=tokens_per_step,
        empty_visible=empty_visible,
    )


def adaptive_embeddings(source: TensorSource, *, config: TransformerXLConfig, lm_token_ids: Tensor) -> Tensor:
    """Returns the published adaptive embedding of each word times sqrt(d_model): float32 (words, d_model)."""
    check_lm_token_ids(lm_token_ids, config.vocab_size)
    embeddings = torch.zeros(len(lm_token_ids), config.d_model)
    for number, (first, end, size) in enumerate(_clusters(config)):
        members = (lm_token_ids >= first) & (lm_token_ids < end)
        if members.any():
            table = source(f"word_emb.emb_layers.{number}.weight", (end - first, size))
            projection = source(f"word_emb.emb_projs.{number}", (config.d_model, size))
            embeddings[members] = functional.linear(table[lm_token_ids[members] - first], projection)
    return embeddings * math.sqrt(config.d_model)


def published_shapes(config: TransformerXLConfig) -> dict[str, Shape]:
    """Returns the shape of every tensor that `assemble_transformer_xl` can request, by published name."""
    shapes: dict[str, Shape] = {}
    for number, (first, end, size) in enumerate(_clusters(config)):
        shapes[f"word_emb.emb_layers.{number}.weight"] = (end - first, size)
        shapes[f"word_emb.emb_projs.{number}"] = (config.d_model, size)
    for number in range(config.n_layer):
        for name, tensor in _empty_layer(config).state_dict().items():
            shapes[f"layers.{number}.{PUBLISHED_NAMES[name]}"] = tuple(tensor.shape)
    return shapes


def _clusters(config: TransformerXLConfig) -> Iterator[tuple[int, int, int]]:
    """Yields first id, end and embedding size of each cluster; frequent words come first and have the longest embeddings."""
    bounds = (0, *config.cutoffs, config.vocab_size)
    for number, (first, end) in enumerate(pairwise(bounds)):
        yield first, end, config.d_embed // config.div_val**number


def _empty_layer(config: TransformerXLConfig) -> Layer:
    with torch.device("meta"):  # no memory, no initialisation
        return Layer(config)


def _stack(source: TensorSource, *, config: TransformerXLConfig, layers: int | None) -> list[Layer]:
    count = config.n_layer if layers is None else layers
    if not 1 <= count <= config.n_layer:
        raise ValueError(f"layers: expected 1..{config.n_layer}, got {count}")
    stack = [_empty_layer(config) for _ in range(count)]
    for number, layer in enumerate(stack):
        weights = {
            name: source(f"layers.{number}.{PUBLISHED_NAMES[name]}", tuple(tensor.shape))
            for name, tensor in layer.state_dict().items()
        }
        layer.load_state_dict(weights, assign=True)
    return stack


def _random_source(seed: int) -> TensorSource:
    """Returns a source of the library's initial values: N(0, 0.02), layer norms 1 and 0, biases of dense maps 0.

    Uses numpy, so the values are the same on all platforms.
    """

    def draw(name: str, shape: Shape) -> Tensor:
        if name.endswith(("layer_norm.weight", ".bias")):
            return torch.full(shape, 1.0 if name.endswith(".weight") else 0.0)
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return torch.from_numpy(generator.standard_normal(shape, np.float32)).mul_(0.02)

    return draw


def _random_embeddings(seed: int, *, config: TransformerXLConfig, lm_token_ids: Tensor) -> Tensor:
    """Returns (words, d_model) of N(0, 1), the scale that layer norm gives to the inputs of all layers but the first."""
    check_lm_token_ids(lm_token_ids, config.vocab_size)
    embeddings = np.empty((len(lm_token_ids), config.d_model), np.float32)
    for row, token_id in zip(embeddings, lm_token_ids.tolist(), strict=True):
        np.random.default_rng([seed, token_id]).standard_normal(out=row, dtype=np.float32)
    return torch.from_numpy(embeddings)

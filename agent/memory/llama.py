"""Language models of the Llama architecture (default: SmolLM2-135M), written for few tokens at a time.

Computes the same as transformers' LlamaModel with a cache (`CausalLanguageModel`, which the tests compare with), with a
quarter of its operations: projections that read the same input are one matrix, the norms' weights and the scale of attention
are multiplied into the matrices that follow, and rotation is one complex product, for which the two halves of a head are
stored interleaved. Empty positions are hidden, because causal language models were not trained with them.

Failure policy: `unsupported` names the setting that this module does not compute; a missing tensor raises KeyError.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agent.memory.half_weights import halve
from agent.memory.ring_transformer import RingTransformer, grouped
from agent.memory.slot_cache import hidden_bias, reachable

Weights = Callable[[str], Tensor]  # name in a LlamaModel's state dict -> float tensor
# Settings of a model's config.json that this module can compute, besides the sizes; absent is the library's default.
COMPUTED: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu", None),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "rope_scaling": (None,),
}


@dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """Sizes, named as in a model's `config.json`."""

    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float


def unsupported(config: dict[str, Any]) -> str:
    """Returns the name of a setting in a model's `config.json` that this module does not compute; empty if there is none."""
    for name, values in COMPUTED.items():
        if config.get(name) not in values:
            return name
    rope = config.get("rope_parameters") or {}
    return "" if rope.get("rope_type", "default") == "default" else "rope_parameters"


def read_config(config: dict[str, Any]) -> LlamaConfig:
    """Reads the sizes from a model's `config.json`."""
    heads, width = config["num_attention_heads"], config["hidden_size"]
    rope = config.get("rope_parameters") or {}
    return LlamaConfig(
        hidden_size=width,
        intermediate_size=config["intermediate_size"],
        num_attention_heads=heads,
        num_key_value_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or width // heads,
        rms_norm_eps=config.get("rms_norm_eps", 1e-6),
        rope_theta=rope.get("rope_theta") or config.get("rope_theta", 10_000.0),
    )


@dataclass(frozen=True)
class Relation:
    """rotation: complex64 (rows, q, heads of queries, keys and values, head_dim / 2), 1 for values. bias: (rows * heads,
    group * q, n).
    """

    rotation: Tensor
    bias: Tensor | None


class LlamaBlock(nn.Module):
    """One layer: attention with rotary positions, then a gated feed-forward; each adds its input."""

    def __init__(self, config: LlamaConfig, weights: Weights) -> None:
        super().__init__()
        self.config, self.heads = config, config.num_key_value_heads
        before_attention, before_forward = weights("input_layernorm.weight"), weights("post_attention_layernorm.weight")
        scale = config.hidden_size**0.5  # that `_normed` leaves out
        queries = _interleaved(weights("self_attn.q_proj.weight"), config.head_dim) * config.head_dim**-0.5
        keys = _interleaved(weights("self_attn.k_proj.weight"), config.head_dim)
        projected = torch.cat([queries, keys, weights("self_attn.v_proj.weight")]) * (before_attention * scale)
        widened = torch.cat([weights("mlp.gate_proj.weight"), weights("mlp.up_proj.weight")]) * (before_forward * scale)
        self.projections = _linear(projected)
        self.merge_heads = _linear(weights("self_attn.o_proj.weight"))
        self.widen = _linear(widened)
        self.narrow = _linear(weights("mlp.down_proj.weight"))

    def project(self, hidden: Tensor, relation: Relation) -> tuple[Tensor, Tensor]:
        """Implements `Block.project`."""
        rows, count, _ = hidden.shape
        projected = self.projections(_normed(hidden, self.config))
        pairs = torch.view_as_complex(projected.float().view(rows, count, -1, self.config.head_dim // 2, 2))
        rotated = (
            torch.view_as_real(pairs * relation.rotation).to(projected.dtype).view(rows, count, -1, self.config.head_dim)
        )
        queries, cached = rotated[:, :, : -2 * self.heads], rotated[:, :, -2 * self.heads :]
        return queries, cached.view(rows, count, 2, self.heads, -1)

    def scores(self, queries: Tensor, relation: Relation, number: int) -> tuple[Tensor, Tensor | None]:
        """Implements `Block.scores`."""
        return grouped(queries, self.heads), relation.bias

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Implements `Block.finish`."""
        hidden = hidden + self.merge_heads(attended)
        gate, wide = self.widen(_normed(hidden, self.config)).chunk(2, dim=-1)
        output: Tensor = hidden + self.narrow(functional.silu(gate) * wide)
        return output

    def halve(self) -> None:
        """Stores the weights in float16 (agent.memory.half_weights)."""
        halve(self, "projections", "merge_heads", "widen", "narrow")


class Llama(RingTransformer[Relation]):
    """The frozen model over word embeddings (rows, hidden_size), whose dtype and device are those of the model."""

    final_norm: Tensor

    def __init__(
        self,
        *,
        config: LlamaConfig,
        embeddings: Tensor,
        stack: Sequence[LlamaBlock],
        final_norm: Tensor,
        window: int,
        tokens_per_step: int,
    ) -> None:
        super().__init__()
        self.config, self.layers, self.window, self.tokens_per_step = config, len(stack), window, tokens_per_step
        self.dimension, self.heads, self.head_dim = config.hidden_size, config.num_key_value_heads, config.head_dim
        self.stack = nn.ModuleList(stack)
        self.register_buffer("embeddings", embeddings)
        self.register_buffer("final_norm", final_norm)
        self.to(device=embeddings.device, dtype=embeddings.dtype)
        self.eval().requires_grad_(False)

    def relation(self, queries: Tensor, keys: Tensor, *, all_seen: bool = False) -> Relation:
        """Implements `RingTransformer.relation`."""
        rows, count = queries.shape
        dimensions = torch.arange(0, self.head_dim, 2, device=queries.device, dtype=torch.float32) / self.head_dim
        angles = queries[:, :, None] * (1.0 / self.config.rope_theta**dimensions)
        rotated, kept = self.config.num_attention_heads + self.heads, self.heads
        rotation = torch.polar(torch.ones_like(angles), angles)[:, :, None]
        rotation = torch.cat(
            [rotation.expand(-1, -1, rotated, -1), torch.ones_like(rotation).expand(-1, -1, kept, -1)], dim=2
        )
        if all_seen:
            return Relation(rotation, None)
        seen = reachable(queries, keys, window=self.window, empty_visible=False)
        group = self.config.num_attention_heads // self.heads
        bias = hidden_bias(seen, self.embeddings.dtype)[:, None, None].expand(rows, self.heads, group, count, -1)
        return Relation(rotation, bias.reshape(rows * self.heads, group * count, -1))

    def output(self, hidden: Tensor) -> Tensor:
        """Implements `RingTransformer.output`: the final norm."""
        return functional.rms_norm(hidden, self.final_norm.shape, self.final_norm, self.config.rms_norm_eps)


def _interleaved(weight: Tensor, size: int) -> Tensor:
    """Reorders the rows of each head (first half, second half) to pairs."""
    heads = weight.view(-1, 2, size // 2, weight.shape[-1])
    return heads.transpose(1, 2).reshape(weight.shape)


def _linear(weight: Tensor) -> nn.Module:
    with torch.device("meta"):  # no memory, no initialisation
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    return linear


def _normed(hidden: Tensor, config: LlamaConfig) -> Tensor:
    """Divides each vector by its length, which is its root mean square times the square root of its size."""
    length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True, dtype=torch.float32)
    least = torch.full((1,), (config.rms_norm_eps * config.hidden_size) ** 0.5, device=hidden.device)
    return hidden / torch.hypot(length, least).to(hidden.dtype)

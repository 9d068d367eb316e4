"""The image tower of a CLIP model with a vision transformer, in the order of operations that costs least.

The same numbers as open_clip's own `VisionTransformer.forward`, up to rounding, with less work: patches are embedded by one
matrix product, in the last block only the class token is computed (its embedding is the tower's output, and nothing after
that block reads the patches), and the final normalisation is applied to that token alone. With N layers about 1/N is saved.

Contract: the module has the parameter names and shapes of open_clip's, so weights load by name, and a tower is known only
if every name and shape fits. Parameters are all of one dtype, in which it computes; layer normalisation and softmax
accumulate in float32. Inference alone: there is no dropout and no checkpointing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention


@dataclass(frozen=True)
class VisionShape:
    """What the weights do not tell. heads: of every block. quick_gelu: the activation of OpenAI's published models."""

    heads: int
    quick_gelu: bool = False


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, hidden), nn.Linear(hidden, width)


def _normalised(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


class _Block(nn.Module):
    """A pre-norm block; `x` (rows, tokens, width) -> the same shape, or only its first token."""

    def __init__(self, width: int, hidden: int, shape: VisionShape) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), _Attention(width)
        self.ln_2, self.mlp = nn.LayerNorm(width), _Mlp(width, hidden)
        self.heads, self.quick_gelu = shape.heads, shape.quick_gelu

    def _split(self, x: Tensor) -> Tensor:
        """(rows, tokens, width) -> (rows, heads, tokens, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # type: ignore[no-any-return]

    def _attended(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        mixed = scaled_dot_product_attention(self._split(query), self._split(key), self._split(value))
        return self.attn.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _with_mlp(self, x: Tensor) -> Tensor:
        hidden = self.mlp.c_fc(_normalised(x, self.ln_2))
        active = hidden * torch.sigmoid(1.702 * hidden) if self.quick_gelu else gelu(hidden)
        return x + self.mlp.c_proj(active)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = linear(_normalised(x, self.ln_1), self.attn.in_proj_weight, self.attn.in_proj_bias).chunk(3, -1)
        return self._with_mlp(x + self._attended(query, key, value))

    def class_token(self, x: Tensor) -> Tensor:
        """The first token of `forward(x)`, (rows, 1, width): every token gives its key and value, one asks."""
        width, attn, normal = x.shape[-1], self.attn, _normalised(x, self.ln_1)
        query = linear(normal[:, :1], attn.in_proj_weight[:width], attn.in_proj_bias[:width])
        key, value = linear(normal, attn.in_proj_weight[width:], attn.in_proj_bias[width:]).chunk(2, -1)
        return self._with_mlp(x[:, :1] + self._attended(query, key, value))


class _Blocks(nn.Module):
    def __init__(self, blocks: list[_Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)


class VisionTransformer(nn.Module):
    """CLIP's vision transformer: pixels (rows, 3, height, width) in its dtype -> embeddings (rows, dim), not normalised.

    Built by `vision_transformer`, without memory of its own: its parameters are the given tensors.
    """

    def __init__(self, weights: Mapping[str, Tensor], shape: VisionShape) -> None:
        super().__init__()
        width, _, height, breadth = weights["conv1.weight"].shape
        hidden = len(weights["transformer.resblocks.0.mlp.c_fc.bias"])
        layers = len({name.split(".")[2] for name in weights if name.startswith("transformer.resblocks.")})
        self.patch = (height, breadth)
        self.conv1 = nn.Conv2d(3, width, self.patch, self.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(weights["positional_embedding"].shape))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = _Blocks([_Block(width, hidden, shape) for _ in range(layers)])
        self.proj = nn.Parameter(torch.empty(weights["proj"].shape))

    def _patches(self, pixels: Tensor) -> Tensor:
        """(rows, 3, height, width) -> (rows, patches, 3 * patch * patch); what is left over at the edges is cut off."""
        tiles = pixels.unfold(2, self.patch[0], self.patch[0]).unfold(3, self.patch[1], self.patch[1])
        return tiles.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = linear(self._patches(pixels), self.conv1.weight.flatten(1))
        first = self.class_embedding.expand(pixels.shape[0], 1, -1)  # not len: tracing for export keeps this one
        x = _normalised(torch.cat([first, patches], 1) + self.positional_embedding, self.ln_pre)
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            x = block(x)
        return _normalised(last.class_token(x)[:, 0], self.ln_post) @ self.proj  # type: ignore[operator]


def vision_transformer(weights: Mapping[str, Tensor], shape: VisionShape) -> VisionTransformer | None:
    """Returns the tower of these weights, named as in open_clip's, or None if they are not those of a plain one."""
    needed = {"conv1.weight", "positional_embedding", "proj", "transformer.resblocks.0.mlp.c_fc.bias"}
    if not needed <= weights.keys():
        return None
    with torch.device("meta"):
        tower = VisionTransformer(weights, shape)
    expected = {name: value.shape for name, value in tower.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        return None
    tower.load_state_dict(weights, assign=True)
    return tower.eval().requires_grad_(False)

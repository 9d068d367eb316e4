"""The vision transformer in its own order of operations against open_clip's, and what it does not take for one."""

from typing import Any

import open_clip
import pytest
import torch
from open_clip.transformer import VisionTransformer as OpenClips

from agent.retrieval.image_tower import image_tower
from agent.retrieval.vision_transformer import VisionShape, VisionTransformer, vision_transformer

SIZES: dict[str, Any] = {"image_size": 32, "patch_size": 8, "width": 48, "layers": 3, "heads": 4, "mlp_ratio": 3.0}
SHAPES = [{}, {"layers": 1}, {"image_size": (32, 48)}, {"image_size": 36}, {"act_layer": open_clip.transformer.QuickGELU}]
OTHERS = [
    {"pool_type": "avg"},
    {"ls_init_value": 0.1},
    {"no_ln_pre": True},
    {"attentional_pool": True},
    {"output_tokens": True},
    {"qk_norm": True, "block_type": "custom"},
]


def tower(**changes: Any) -> Any:
    torch.manual_seed(0)
    made = OpenClips(**(SIZES | {"output_dim": 16} | changes)).eval()
    for parameter in made.parameters():  # biases and norms too, so that none is a zero that hides a mistake
        torch.nn.init.normal_(parameter, std=0.2)
    made.preprocess_cfg = {"size": changes.get("image_size", 32)}
    return made


@pytest.mark.parametrize("changes", SHAPES, ids=str)
@pytest.mark.parametrize("rows", [1, 5])
@torch.inference_mode()
def test_it_gives_open_clips_embeddings(changes: dict[str, Any], rows: int) -> None:
    theirs = tower(**changes)
    ours = image_tower(theirs, device="cpu")
    assert isinstance(ours, VisionTransformer)
    pixels = torch.randn(rows, 3, *theirs.image_size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(pixels), theirs(pixels), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_in_bfloat16_it_stays_as_near_as_open_clips_own_in_bfloat16() -> None:
    theirs, pixels = tower(), torch.randn(4, 3, 32, 32)
    exact = theirs(pixels)
    ours = image_tower(tower(), device="cpu", dtype=torch.bfloat16)(pixels.bfloat16())
    own = theirs.bfloat16()(pixels.bfloat16())
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).abs().mean() < 1.5 * (own - exact).abs().mean()


@pytest.mark.parametrize("changes", OTHERS, ids=str)
def test_a_tower_that_is_computed_otherwise_stays_open_clips_own(changes: dict[str, Any]) -> None:
    theirs = tower(**changes)
    assert image_tower(theirs, device="cpu") is theirs


def test_weights_that_do_not_fit_are_not_taken() -> None:
    weights = dict(tower().state_dict())
    assert vision_transformer(weights, VisionShape(4)) is not None
    assert vision_transformer({"conv1.weight": weights["conv1.weight"]}, VisionShape(4)) is None
    assert vision_transformer(weights | {"extra": torch.zeros(1)}, VisionShape(4)) is None
    assert vision_transformer(weights | {"ln_pre.bias": torch.zeros(7)}, VisionShape(4)) is None


def test_it_takes_the_tensors_and_copies_none() -> None:
    theirs = tower()
    ours: Any = image_tower(theirs, device="cpu")
    assert ours.proj.data_ptr() == theirs.proj.data_ptr()

"""Which image tower a spec gives: read without open_clip where it can be, with open_clip's numbers, else open_clip's own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.utils import to_2tuple

from agent.retrieval.clip import load_clip
from agent.retrieval.image_tower import load_image_tower
from agent.retrieval.vision_transformer import VisionTransformer
from training.clip.folder import build, export

MODELS = Path(__file__).parents[4] / "models"
PLAIN = ["minigrid-keycorridor", "minigrid-memory", "minigrid-redbluedoors", "recognition"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    export(build(), tmp_path / "clip")
    return tmp_path / "clip"


def change(folder: Path, part: str, **values: Any) -> None:
    """Changes settings of the folder's config."""
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    place = config
    for name in part.split("."):
        place = place[name]
    place.update(values)
    file.write_text(json.dumps(config))


def tensors_agree(spec: str) -> bool:
    ours: Any = load_image_tower(spec, device="cpu")
    clip: Any = load_clip(spec).model
    pixels = torch.randn(2, 3, *to_2tuple(clip.visual.image_size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return torch.allclose(ours(pixels), clip.encode_image(pixels), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PLAIN)
def test_a_shipped_vision_transformer_gives_what_encode_image_gives(name: str) -> None:
    spec = f"file:{MODELS / name / 'clip'}"
    assert isinstance(load_image_tower(spec, device="cpu"), VisionTransformer)
    assert tensors_agree(spec)


def test_a_shipped_residual_network_is_open_clips_own() -> None:
    spec = f"file:{MODELS / 'miniworld-signcolour' / 'clip'}"
    assert isinstance(load_image_tower(spec, device="cpu"), ModifiedResNet)
    assert tensors_agree(spec)


def test_the_preprocessing_is_open_clips(folder: Path) -> None:
    ours, theirs = load_image_tower(f"file:{folder}", device="cpu"), load_clip(f"file:{folder}").model.visual
    found: Any = ours.preprocess_cfg
    expected: Any = theirs.preprocess_cfg  # type: ignore[union-attr]
    assert to_2tuple(found["size"]) == to_2tuple(expected["size"])
    assert json.dumps(found | {"size": 0}, sort_keys=True) == json.dumps(expected | {"size": 0}, sort_keys=True)


@pytest.mark.parametrize("settings", [{"quick_gelu": True}, {"vision_cfg.mlp_ratio": 4.0}])
def test_settings_of_a_plain_tower_are_followed(folder: Path, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        part, _, last = f"model_cfg.{name}".rpartition(".")
        change(folder, part, **{last: value})
    assert isinstance(load_image_tower(f"file:{folder}", device="cpu"), VisionTransformer)
    assert tensors_agree(f"file:{folder}")


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("model_cfg.vision_cfg", {"pool_type": "avg"}),
        ("model_cfg.vision_cfg", {"norm_kwargs": {"eps": 1e-3}}),
        ("model_cfg.vision_cfg", {"act_kwargs": {"approximate": "tanh"}}),
        ("preprocess_cfg", {"size": 48}),
    ],
)
def test_settings_that_are_not_known_here_are_left_to_open_clip(folder: Path, part: str, values: dict[str, Any]) -> None:
    change(folder, part, **values)
    assert tensors_agree(f"file:{folder}")


def test_float16_weights_are_read_as_float32_and_computed_in_the_given_dtype(folder: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        tower = load_image_tower(f"file:{folder}", device="cpu", dtype=dtype)
        assert {parameter.dtype for parameter in tower.parameters()} == {dtype}
        assert not any(parameter.requires_grad for parameter in tower.parameters())


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no open_clip_config\.json"):
        load_image_tower(f"file:{tmp_path}", device="cpu")


@pytest.mark.slow
def test_a_vision_transformer_is_served_without_importing_open_clip_or_torchvision() -> None:
    code = f"""
import sys
from pathlib import Path
import numpy as np
from agent.bundle import load_bundle
from agent.engines.retrieval import load_retriever
retriever = load_retriever(load_bundle(Path({str(MODELS / "minigrid-memory")!r})), device="cpu", cache_frames=0)
retriever.retrieve([np.zeros((56, 56, 3), np.uint8), np.zeros((60, 80, 3), np.uint8)])
print([name for name in ("open_clip", "torchvision", "torch._dynamo", "transformers") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

"""Token retrieval: the right words in the right order, exact preprocessing, a bounded cache, clear refusals."""

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import nn
from torch.nn.functional import normalize
from torchvision.transforms import CenterCrop, InterpolationMode, Normalize, Resize

from agent.retrieval.clip import load_clip, preprocess_cfg
from agent.retrieval.preprocess import MODES, Preprocessing
from agent.retrieval.ranking import ranked, top_keys
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.clip.folder import build, export

torch.set_num_threads(1)
CPU = torch.device("cpu")
ROWS = 50
MEAN_STD: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
Frame = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "small"
    torch.manual_seed(0)
    export(build(), path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> nn.Module:
    return load_clip(f"file:{folder}").model


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(ROWS, 128, generator=generator) * 3
    return Vocabulary([f"word{row}" for row in range(ROWS)], embeddings, torch.arange(ROWS))


def retriever(model: nn.Module, vocabulary: Vocabulary, **changes: Any) -> TokenRetriever:
    settings: dict[str, Any] = {"k": 3, "device": "cpu"} | changes
    return TokenRetriever(model=model, vocabulary=vocabulary, **settings)


def frame(seed: int, height: int = 56, width: int = 56) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_k_words_of_highest_cosine_come_most_similar_first(model: nn.Module, vocabulary: Vocabulary) -> None:
    (words,) = retriever(model, vocabulary).retrieve([frame(0)])
    pixels = Preprocessing(cfg=preprocess_cfg(model), mode="model", device=CPU)([frame(0)])
    with torch.no_grad():
        image = model.encode_image(pixels)[0].double()  # type: ignore[operator]
    cosines = normalize(vocabulary.embeddings.double(), dim=1) @ (image / image.norm())
    expected = sorted(range(ROWS), key=lambda row: -cosines[row])[:3]
    assert [word.row for word in words] == expected
    assert [word.text for word in words] == [f"word{row}" for row in expected]
    assert [word.similarity for word in words] == pytest.approx(cosines[expected].tolist(), abs=1e-5)


def test_equal_similarities_are_ordered_by_lower_row(model: nn.Module) -> None:
    embeddings = torch.ones(40, 128)
    vocabulary = Vocabulary([str(row) for row in range(40)], embeddings, torch.arange(40))
    (words,) = retriever(model, vocabulary, k=5).retrieve([frame(0)])
    assert [word.row for word in words] == [0, 1, 2, 3, 4]


def test_ranking_orders_negative_zero_and_equal_values() -> None:
    values = torch.tensor([[-0.5, 0.0, -0.0, 0.25, 0.25, -0.25, 1.0, -1.0]])
    rows, similarities = ranked(top_keys(values, 8))
    assert rows.tolist() == [[6, 3, 4, 1, 2, 5, 0, 7]]
    assert similarities.tolist() == [[1.0, 0.25, 0.25, 0.0, 0.0, -0.25, -0.5, -1.0]]


def test_ranking_gives_torchs_rows_and_the_very_similarities() -> None:
    random = torch.randn(20, 1000, generator=torch.Generator().manual_seed(0))
    rows, similarities = ranked(top_keys(random, 10))
    expected = random.topk(10)
    assert rows.tolist() == expected.indices.tolist()
    assert similarities.tolist() == expected.values.tolist()


def test_frames_of_several_sizes_in_one_call_keep_their_order(model: nn.Module, vocabulary: Vocabulary) -> None:
    frames = [frame(0), frame(1, 60, 80), frame(2, 80, 80), frame(3), frame(4, 60, 80)]
    together = retriever(model, vocabulary).retrieve(frames)
    for one, words in zip(frames, together, strict=True):
        (alone,) = retriever(model, vocabulary).retrieve([one])
        assert [word.row for word in alone] == [word.row for word in words]
        assert [w.similarity for w in alone] == pytest.approx([w.similarity for w in words], abs=1e-6)


@pytest.mark.parametrize("shape", [(56, 56), (60, 80), (80, 60), (80, 80), (28, 28), (210, 160)])
def test_model_preprocessing_equals_open_clips_own_bit_by_bit(folder: Path, shape: tuple[int, int]) -> None:
    loaded, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    frames = [frame(seed, *shape) for seed in range(3)]
    ours = Preprocessing(cfg=preprocess_cfg(loaded), mode="model", device=CPU)(frames)
    assert torch.equal(ours, torch.stack([transform(Image.fromarray(one)) for one in frames]))


@pytest.mark.parametrize("size", [56, (56, 40)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
def test_every_resize_mode_of_open_clip_is_followed_bit_by_bit(resize_mode: str, interpolation: str, size: Any) -> None:
    cfg: dict[str, Any] = {"size": size, "resize_mode": resize_mode, "interpolation": interpolation} | MEAN_STD
    transform = image_transform_v2(PreprocessCfg(**cfg), is_train=False)
    for shape in ((56, 56), (60, 80), (61, 47)):
        ours = Preprocessing(cfg=cfg, mode="model", device=CPU)([frame(0, *shape)])
        assert torch.equal(ours[0], transform(Image.fromarray(frame(0, *shape))))


def test_reference_preprocessing_is_the_authors_float_bicubic_without_antialias() -> None:
    cfg: dict[str, Any] = {"size": 224, "mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28)}
    one = frame(0, 60, 80)
    ours = Preprocessing(cfg=cfg, mode="reference", device=CPU)([one])[0]
    pixels = torch.from_numpy(one).permute(2, 0, 1) / 255
    resized = Resize(224, InterpolationMode.BICUBIC, antialias=False)(pixels)
    assert resized.shape == (3, 224, 298)  # the centre crop then discards a quarter of MiniWorld's width
    assert resized.max() > 1  # overshoot is kept
    torch.testing.assert_close(ours, Normalize(cfg["mean"], cfg["std"])(CenterCrop(224)(resized)))


@pytest.mark.parametrize("size", [56, (56, 40), (40, 90)])
@pytest.mark.parametrize("shape", [(60, 80), (80, 60), (28, 30)])
def test_reference_preprocessing_crops_as_torchvision_does(size: Any, shape: tuple[int, int]) -> None:
    cfg: dict[str, Any] = {"size": size} | MEAN_STD
    ours = Preprocessing(cfg=cfg, mode="reference", device=CPU)([frame(0, *shape)])[0]
    pixels, sides = torch.from_numpy(frame(0, *shape)).permute(2, 0, 1) / 255, [size] * 2 if isinstance(size, int) else size
    resized = Resize(min(sides), InterpolationMode.BICUBIC, antialias=False)(pixels)
    torch.testing.assert_close(ours, Normalize(cfg["mean"], cfg["std"])(CenterCrop(sides)(resized)))


def test_the_two_preprocessings_agree_where_nothing_is_resized_and_differ_elsewhere(model: nn.Module) -> None:
    cfg = preprocess_cfg(model)
    ours, reference = (Preprocessing(cfg=cfg, mode=mode, device=CPU) for mode in MODES)
    assert torch.equal(ours([frame(0)]), reference([frame(0)]))
    assert not torch.allclose(ours([frame(0, 80, 80)]), reference([frame(0, 80, 80)]), atol=0.1)


def test_in_bfloat16_the_similarities_stay_near_and_are_ranked_in_float32(folder: Path, vocabulary: Vocabulary) -> None:
    plain = retriever(load_clip(f"file:{folder}").model, vocabulary)
    short = retriever(load_clip(f"file:{folder}").model, vocabulary, dtype=torch.bfloat16)
    frames = [frame(seed) for seed in range(4)]
    expected, given = plain.similarities(frames), short.similarities(frames)
    assert next(short.visual.parameters()).dtype == torch.bfloat16
    assert given.dtype == torch.float32
    torch.testing.assert_close(given, expected, atol=0.02, rtol=0)
    assert not torch.equal(given, expected)


def test_a_frame_seen_before_is_not_computed_again(model: nn.Module, vocabulary: Vocabulary) -> None:
    retrieval = retriever(model, vocabulary)
    first = retrieval.retrieve([frame(0), frame(1), frame(0)])
    assert (retrieval.hits, retrieval.misses) == (0, 3)
    assert first[0] == first[2]
    retrieval.visual = nn.Identity()  # would break any computation
    assert retrieval.retrieve([frame(1), frame(0)]) == [first[1], first[0]]
    assert (retrieval.hits, retrieval.misses) == (2, 3)


def test_the_cache_is_bounded_and_drops_the_least_recently_used(model: nn.Module, vocabulary: Vocabulary) -> None:
    retrieval = retriever(model, vocabulary, cache_frames=2)
    for seed in (0, 1, 0, 2):  # 1 is the oldest when 2 comes
        retrieval.retrieve([frame(seed)])
    retrieval.retrieve([frame(0)])
    assert (retrieval.hits, retrieval.misses) == (2, 3)
    retrieval.retrieve([frame(1)])
    assert (retrieval.hits, retrieval.misses) == (2, 4)


def test_without_a_cache_every_frame_is_computed(model: nn.Module, vocabulary: Vocabulary) -> None:
    retrieval = retriever(model, vocabulary, cache_frames=0)
    assert retrieval.retrieve([frame(0)]) == retrieval.retrieve([frame(0)])
    assert (retrieval.hits, retrieval.misses) == (0, 2)


def test_no_frames_give_no_words(model: nn.Module, vocabulary: Vocabulary) -> None:
    assert retriever(model, vocabulary).retrieve([]) == []


@pytest.mark.parametrize(
    ("bad", "given"),
    [
        (np.zeros((56, 56, 3), np.float32), r"float32 \(56, 56, 3\)"),
        (np.zeros((56, 56), np.uint8), r"uint8 \(56, 56\)"),
        (np.zeros((3, 56, 56), np.uint8), r"uint8 \(3, 56, 56\)"),
        (np.zeros((0, 56, 3), np.uint8), r"uint8 \(0, 56, 3\)"),
        ([[1, 2, 3]], "list None"),
    ],
)
def test_a_frame_of_another_kind_is_refused_with_what_was_given(
    model: nn.Module, vocabulary: Vocabulary, bad: Any, given: str
) -> None:
    retrieval = retriever(model, vocabulary)
    with pytest.raises(ValueError, match=rf"frame 1: expected uint8 \(height, width, 3\), got {given}"):
        retrieval.retrieve([frame(0), bad])
    assert (retrieval.hits, retrieval.misses) == (0, 0)


@pytest.mark.parametrize("k", [0, -1, ROWS + 1])
def test_k_must_lie_within_the_vocabulary(model: nn.Module, vocabulary: Vocabulary, k: int) -> None:
    with pytest.raises(ValueError, match=r"k: expected 1\.\.50"):
        retriever(model, vocabulary, k=k)


def test_only_the_image_tower_is_kept(folder: Path, vocabulary: Vocabulary) -> None:
    loaded = load_clip(f"file:{folder}").model
    whole, weights = weakref.ref(loaded), loaded.visual.conv1.weight.data_ptr()  # type: ignore[operator, union-attr]
    retrieval = retriever(loaded, vocabulary)
    del loaded
    gc.collect()
    assert whole() is None
    assert retrieval.visual.conv1.weight.data_ptr() == weights  # type: ignore[operator, union-attr]


def test_a_tower_that_also_gives_patch_tokens_is_read_by_its_embedding(model: nn.Module, vocabulary: Vocabulary) -> None:
    class Coca(nn.Module):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, None]:
            return retrieval.visual(pixels), None

    retrieval = retriever(model, vocabulary)
    expected = retrieval.retrieve([frame(0)])
    with_tokens = retriever(model, vocabulary)
    with_tokens.visual = Coca()
    assert with_tokens.retrieve([frame(0)]) == expected


@pytest.fixture
def tiny_architecture(folder: Path, tmp_path: Path) -> str:
    """open_clip's list of architectures with one small one more."""
    cfg = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "tiny-test-clip.json").write_text(json.dumps(cfg))
    open_clip.add_model_config(tmp_path)
    return "tiny-test-clip"


def test_random_weights_come_from_the_seed_and_leave_the_global_generator_alone(tiny_architecture: str) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    one, same, other = (load_clip(f"random:{tiny_architecture}/{seed}") for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    weights = [next(clip.model.parameters()) for clip in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert (one.name, one.model.training) == ("random:tiny-test-clip/3", False)


def test_a_hub_model_gets_the_activation_that_its_weights_were_trained_with(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, bool] = {}

    def create_model(architecture: str, *, pretrained: str, force_quick_gelu: bool, **_: Any) -> nn.Module:
        asked[f"{architecture}/{pretrained}"] = force_quick_gelu
        return nn.Linear(1, 1)

    monkeypatch.setattr(open_clip, "create_model", create_model)
    load_clip("hub:ViT-B-16/openai")
    load_clip("hub:ViT-B-16/laion2b_s34b_b88k")
    assert asked == {"ViT-B-16/openai": True, "ViT-B-16/laion2b_s34b_b88k": False}


@pytest.mark.parametrize("spec", ["", "ViT-B-16", "file:", "hub:ViT-B-16", "random:ViT-B-16", "random:ViT-B-16/x"])
def test_a_bad_clip_spec_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="CLIP spec: expected file:FOLDER"):
        load_clip(spec)


def test_a_folder_without_a_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no open_clip_config\.json"):
        load_clip(f"file:{tmp_path}")

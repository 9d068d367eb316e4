"""A robust CLIP learns its teacher's words; the exchange makes a bundle of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from agent.bundle import load_bundle
from agent.engines.retrieval import load_retriever
from training.clip import exchange, robust
from training.clip.frames import distinct_frames
from training.clip.robust import Distillation, in_order, parser
from training.clip.scenes import draw_view
from training.clip.sources import STEPS
from training.clip.tiles import render

pytestmark = pytest.mark.slow
OLD = Path("models/minigrid-memory")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was interrupted after one of two updates."""
    out = tmp_path_factory.mktemp("robust")
    options = parser().parse_args(["--out", str(out), "--rows", "8", "--iterations", "2"])
    torch.set_num_threads(1)  # as the command does: two threads sum in another order
    begun = Distillation(options)
    begun.losses.append(begun.step(0))
    begun.save()
    robust.main(["--out", str(out), "--rows", "8", "--iterations", "2", "--resume"])
    return out


def test_a_student_without_augmentation_has_nothing_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robust, "augment", lambda strength, frames, rng: frames)
    distillation = Distillation(parser().parse_args(["--out", "unused", "--rows", "8"]))
    assert distillation.step(0) == pytest.approx(0, abs=1e-4)


def test_the_loss_of_the_first_words_is_least_when_they_come_first_and_in_their_order() -> None:
    wanted = torch.tensor([[2, 0], [1, 2]])
    right = torch.tensor([[20.0, 0, 40], [0, 40, 20]])
    exchanged = torch.tensor([[40.0, 0, 20], [0, 20, 40]])
    assert in_order(right, wanted).item() == pytest.approx(0, abs=1e-6)
    assert in_order(exchanged, wanted).item() == pytest.approx(10, abs=1e-4)  # the first word costs 20, the second nothing
    assert in_order(exchanged, wanted[:, :1]).item() == pytest.approx(20, abs=1e-4)


@pytest.mark.parametrize("k", [1, 3])
def test_a_teacher_who_is_sure_of_its_first_words_is_what_such_a_student_wants_to_be(k: int) -> None:
    distillation = Distillation(parser().parse_args(["--out", "unused", "--target", "first", "--k", str(k)]))
    views = np.stack([draw_view(np.random.default_rng(seed)) for seed in range(8)])
    frames = render(views)
    taught = distillation._taught(frames)
    assert distillation._loss(views, frames, 1000 * taught).item() == pytest.approx(0, abs=1e-3)
    assert distillation._loss(views, frames, -taught).item() > 1


def test_half_of_a_batch_are_those_of_the_drawn_views_that_are_hardest_to_name() -> None:
    options = parser().parse_args(["--out", "unused", "--rows", "8", "--drawn", "32"])
    distillation = Distillation(options)
    chosen, frames = distillation._draw(np.random.default_rng(0))
    assert np.array_equal(frames, render(chosen))
    rng = np.random.default_rng(0)
    drawn = np.stack([draw_view(rng) for _ in range(32)])
    first, second = distillation._taught(render(drawn)).topk(2).values.unbind(-1)
    hardest = (first - second).argsort()[:4].numpy()
    assert np.array_equal(chosen[:4], drawn[hardest])
    assert len(np.unique(chosen.reshape(8, -1), axis=0)) == 8


def test_a_quarter_of_a_batch_are_frames_of_the_environments_that_are_named() -> None:
    options = parser().parse_args(["--out", "unused", "--rows", "8", "--env", "MiniGrid-MemoryS7-v0"])
    distillation = Distillation(options)
    views, frames = distillation._draw(np.random.default_rng(0))
    assert np.array_equal(frames, render(views))
    met = {frame.tobytes() for frame in distinct_frames("MiniGrid-MemoryS7-v0", STEPS)[1]}
    assert [frame.tobytes() in met for frame in frames[6:]] == [True, True]


def test_a_resumed_training_is_the_uninterrupted_one(run: Path, tmp_path: Path) -> None:
    robust.main(["--out", str(tmp_path), "--rows", "8", "--iterations", "2"])
    one, other = (load_file(folder / "export" / "open_clip_model.safetensors") for folder in (run, tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_training_is_not_overwritten(run: Path) -> None:
    with pytest.raises(SystemExit, match="--resume"):
        robust.main(["--out", str(run)])


def test_the_text_tower_stays_and_the_image_tower_learns(run: Path) -> None:
    old, new = (load_file(folder / "open_clip_model.safetensors") for folder in (OLD / "clip", run / "export"))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(name.startswith("visual.") for name in changed)


def test_the_exchanged_bundle_keeps_everything_but_the_clip(run: Path, tmp_path: Path) -> None:
    exchange.main(["--bundle", str(OLD), "--clip", f"file:{run / 'export'}", "--out", str(tmp_path / "new")])
    old, new = load_bundle(OLD), load_bundle(tmp_path / "new")
    assert new.digest != old.digest
    assert new.manifest.policy == old.manifest.policy
    assert new.manifest.files["policy.safetensors"] == old.manifest.files["policy.safetensors"]
    assert new.manifest.provenance["clip"]["taught_by"] == old.digest
    one, other = (load_retriever(bundle, device="cpu", cache_frames=0) for bundle in (old, new))
    assert torch.equal(one.embeddings, other.embeddings)
    frames = list(distinct_frames("MiniGrid-MemoryS7-v0", 50)[1])
    words = [[found[0].text for found in retriever.retrieve(frames)] for retriever in (one, other)]
    assert np.mean([before == after for before, after in zip(*words, strict=True)]) > 0.5


def test_a_clip_with_another_text_tower_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "export" / "open_clip_model.safetensors"
    tensors = load_file(path)
    tensors["text_projection"] = tensors["text_projection"] * -1
    save_file(tensors, path)
    with pytest.raises(ValueError, match="another one"):
        exchange.exchange(load_bundle(OLD), f"file:{tmp_path / 'run' / 'export'}", tmp_path / "new", name="new")
    assert not (tmp_path / "new").exists()
    assert json.loads((run / "training.json").read_text())["settings"]["augment"] == "colourless"

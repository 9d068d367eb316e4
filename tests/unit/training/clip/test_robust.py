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
from training.clip.robust import Distillation, parser
from training.clip.scenes import draw_view
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


def test_the_first_word_alone_is_wanted_of_a_student_that_shall_be_sure() -> None:
    distillation = Distillation(parser().parse_args(["--out", "unused", "--target", "first"]))
    views = np.stack([draw_view(np.random.default_rng(seed)) for seed in range(8)])
    target = distillation._target(views, render(views))
    distillation.options.target = "teacher"
    shared = distillation._target(views, render(views))
    assert torch.equal(target.sum(-1), torch.ones(8))
    assert torch.equal(target.max(-1).values, torch.ones(8))
    assert torch.equal(target.argmax(-1), shared.argmax(-1))


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

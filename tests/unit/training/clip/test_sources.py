"""Sources of frames for robust towers: synthetic views, and the environments' own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agent.bundle import load_bundle
from agent.engines.retrieval import load_retriever
from training.clip import robust, sources
from training.clip.frames import distinct_frames
from training.clip.sources import GRID, STEPS, expert_frames, pictures_source, world_source
from training.environments.recognition.pictures import SIDE, Picture
from training.environments.recognition.view import Gallery

pytestmark = pytest.mark.slow
SIGN = "MiniWorld-SignColourTraining-v0"
BUNDLE = Path("models/miniworld-signcolour")


def test_grid_views_are_drawn_by_the_generator_alone() -> None:
    one, same = (GRID.draw(np.random.default_rng(1), 4) for _ in range(2))
    assert np.array_equal(one, same)
    assert GRID.render(one).shape == (4, 56, 56, 3)
    assert GRID.prepare(GRID.render(one)).shape == (4, 3, 56, 56)


def test_a_walk_in_minigrid_gives_its_distinct_views() -> None:
    met, (views, frames) = GRID.met("MiniGrid-MemoryS7-v0"), distinct_frames("MiniGrid-MemoryS7-v0", STEPS)
    assert np.array_equal(met, views)
    assert np.array_equal(GRID.render(met), frames)


def test_rendered_views_are_made_when_first_needed_and_kept(tmp_path: Path) -> None:
    source = world_source(tmp_path / "data", shards=1, views=8, frames=3)
    assert not (tmp_path / "data").exists()
    drawn = source.draw(np.random.default_rng(0), 4)
    assert drawn.shape == (4, 60, 80, 3)
    made = (tmp_path / "data" / "shard-000.npz").stat().st_mtime_ns
    again = world_source(tmp_path / "data", shards=1, views=8, frames=3)
    assert np.array_equal(again.draw(np.random.default_rng(0), 4), drawn)
    assert (tmp_path / "data" / "shard-000.npz").stat().st_mtime_ns == made


def test_a_walk_in_miniworld_is_an_expert_s_with_slips_and_always_the_same() -> None:
    frames = expert_frames(SIGN, 40)
    assert frames.shape == (40, 60, 80, 3)
    assert np.array_equal(frames, expert_frames(SIGN, 40))
    assert len({frame.tobytes() for frame in frames}) > 20


def test_an_environment_without_an_expert_is_refused() -> None:
    with pytest.raises(ValueError, match="MiniWorld-Sign-v0: expected one with an expert"):
        expert_frames("MiniWorld-Sign-v0", 2)


def test_the_teacher_names_frames_as_the_server_does(tmp_path: Path) -> None:
    source = ["--clip", f"file:{BUNDLE / 'clip'}", "--vocabulary", str(BUNDLE / "vocabulary.safetensors")]
    options = robust.parser().parse_args([*source, "--views", "world", "--out", str(tmp_path)])
    options.quick = True
    torch.set_num_threads(1)
    frames = expert_frames(SIGN, 32)
    taught = robust.Distillation(options)._taught(frames).topk(2).indices.tolist()
    retriever = load_retriever(load_bundle(BUNDLE), device="cpu", cache_frames=0)
    found = [[word.row for word in words] for words in retriever.retrieve(list(frames))]
    assert np.mean([one == other for one, other in zip(taught, found, strict=True)]) > 0.95


def test_captions_of_rendered_views_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="captions needs --views grid"):
        robust.main(["--out", str(tmp_path), "--views", "world", "--target", "captions"])


def test_the_tower_of_miniworld_learns_and_its_statistics_stay(tmp_path: Path) -> None:
    source = ["--clip", f"file:{BUNDLE / 'clip'}", "--vocabulary", str(BUNDLE / "vocabulary.safetensors"), "--env", SIGN]
    robust.main([*source, "--views", "world", "--quick", "--target", "first", "--k", "2", "--out", str(tmp_path)])
    assert len(json.loads((tmp_path / "training.json").read_text())["losses"]) == 2
    old, new = (load_file(folder / "open_clip_model.safetensors") for folder in (BUNDLE / "clip", tmp_path / "export"))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all(name.startswith("visual.") for name in changed)
    assert not [name for name in changed if "running" in name]


def test_recognition_s_frames_are_those_of_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    drawn = [Picture(name, rng.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)) for name in ("one", "two")]
    monkeypatch.setattr(sources, "gallery", lambda _: Gallery(drawn))
    source = pictures_source()
    frames = source.render(source.draw(np.random.default_rng(0), 6))
    assert frames.shape == (6, 64, 64, 3)
    assert source.prepare(frames).shape == (6, 3, 64, 64)
    with pytest.raises(ValueError, match="pictures are all"):
        source.met("MiniGrid-MemoryS7-v0")

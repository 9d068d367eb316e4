"""Synthetic scenes for the small CLIP: pixels as MiniGrid draws them, true captions, sound batches, a loadable export."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from minigrid.core.constants import COLOR_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import Wall

from agent.build_vocabulary.overlap import LanguageModelWords
from training.clip import train
from training.clip.batches import make_batch
from training.clip.captions import BARE_WORDS, LOOKS, captions
from training.clip.folder import PREPROCESS_CFG, build, export
from training.clip.frames import ENVIRONMENTS, distinct_frames, walk
from training.clip.loss import contrastive
from training.clip.negatives import Negatives
from training.clip.scenes import BALL, BOX, DOOR, EMPTY, GOAL, KEY, OBJECTS, WALL, View, draw_view, opaque, visible
from training.clip.tiles import AGENT, VIEW, render

torch.set_num_threads(1)
LOCKED = 2


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_rendered_views_equal_the_wrappers_frames(environment: str) -> None:
    for view, frame in walk(environment, 150):
        assert np.array_equal(render(view[None])[0], frame)


def test_visibility_equals_minigrids_own() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        walls = rng.random((VIEW, VIEW)) < rng.random()
        grid = Grid(VIEW, VIEW)
        for x, y in np.argwhere(walls):
            grid.set(int(x), int(y), Wall())
        assert np.array_equal(visible(walls), grid.process_vis(AGENT))


def test_nothing_behind_walls_is_drawn_unless_the_world_is_see_through() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        view = draw_view(rng)
        seen = view[..., 0] != 0
        assert seen.all() or np.array_equal(seen, visible(opaque(view)))
        assert (np.isin(view[..., 0], OBJECTS).sum()) <= 4  # three and a carried one


def test_captions_cover_every_bare_word_with_both_seen_objects_and_empty_scenes() -> None:
    rng = np.random.default_rng(2)
    said = [captions(draw_view(rng)) for _ in range(1500)]
    assert {item.word for item in said} == set(BARE_WORDS)
    assert sum(bool(item.others) for item in said) > 100


def scene(*objects: tuple[int, int, int, str, int]) -> View:
    """An open floor with objects (x, y, kind, colour, state)."""
    view = np.zeros((VIEW, VIEW, 3), np.uint8)
    view[..., 0] = EMPTY
    for x, y, kind, colour, state in objects:
        view[x, y] = (kind, COLOR_TO_IDX[colour], state)
    return view


def test_the_bare_word_is_the_object_nearest_to_the_agent() -> None:
    said = captions(scene((0, 0, KEY, "red", 0), (3, 4, BALL, "blue", 0)))
    assert (said.word, said.others) == ("ball", ("key",))
    assert set(said.longer) == {"a ball", "blue ball", "ball and key"}


def test_of_two_objects_at_equal_distance_the_left_one_is_named() -> None:
    assert captions(scene((4, 3, KEY, "red", 0), (2, 3, BALL, "red", 0))).word == "ball"


def test_a_carried_object_is_named_only_when_no_other_is_seen() -> None:
    carried = (*AGENT, KEY, "yellow", 0)
    assert captions(scene(carried)).word == "key"
    assert captions(scene(carried, (0, 0, BOX, "grey", 0))).word == "box"


def test_a_doors_captions_tell_its_state_and_colour() -> None:
    said = captions(scene((3, 2, DOOR, "purple", LOCKED)))
    assert set(said.longer) == {"a door", "purple door", "locked door", "locked purple door"}
    assert captions(scene((3, 2, GOAL, "green", 0))).longer == ("a goal",)


def test_a_scene_without_objects_is_a_wall_a_corridor_or_floor() -> None:
    floor = scene()
    corridor, wall = floor.copy(), floor.copy()
    corridor[2, :, 0] = corridor[4, :, 0] = WALL
    wall[3, 5, 0] = WALL
    assert [captions(view).word for view in (floor, corridor, wall)] == ["floor", "corridor", "wall"]


def test_a_batch_depends_on_seed_and_iteration_alone() -> None:
    one, same, other = (make_batch(3, iteration, 8, ["apple"]) for iteration in (5, 5, 6))
    assert torch.equal(one.images, same.images)
    assert one.texts == same.texts
    assert not torch.equal(one.images, other.images)


def test_true_texts_are_exactly_the_captions_and_extra_words_are_true_of_nothing() -> None:
    batch = make_batch(0, 0, 64, ["apple", "river"])
    rng = np.random.default_rng((0, 0))
    said = [captions(draw_view(rng)) for _ in range(64)]
    for row, item in enumerate(said):
        true = {batch.texts[column] for column in batch.true[row].nonzero().flatten().tolist()}
        assert true == {item.word, *item.longer} & set(batch.texts)
    assert not batch.true[:, batch.captioned :].any()
    assert batch.texts[batch.captioned :] == ["apple", "river"]
    torch.testing.assert_close(batch.word_target.sum(1), torch.ones(64))
    assert batch.true.gather(1, batch.longer_target[:, None]).all()


def test_looks_of_the_nearest_object_come_after_its_name_and_before_other_names() -> None:
    batch = make_batch(0, 0, 64, ["apple"], looks=True)
    rng = np.random.default_rng((0, 0))
    said = [captions(draw_view(rng)) for _ in range(64)]
    seen = {look for item in said for look in item.looks}
    assert {"red", "open", "closed", "locked"} <= seen <= set(LOOKS)
    for row, item in enumerate(said):
        target = {batch.texts[i]: batch.word_target[row, i].item() for i in batch.word_target[row].nonzero().flatten()}
        assert set(target) == {item.word, *item.looks, *item.others}
        order = sorted(target, key=lambda word: -target[word])
        assert order[: 1 + len(item.looks)] == [item.word, *item.looks]
        true = {batch.texts[column] for column in batch.true[row].nonzero().flatten().tolist()}
        assert {*item.looks, *item.other_looks} <= true
    torch.testing.assert_close(batch.word_target.sum(1), torch.ones(64))


def test_the_loss_falls_when_the_true_texts_come_first() -> None:
    batch = make_batch(0, 1, 32, ["apple"])
    right = (batch.true.float() + batch.word_target) * 10
    assert contrastive(right, batch) < contrastive(torch.zeros_like(right), batch)
    winning_negative = right.clone()
    winning_negative[:, -1] = 30
    assert contrastive(winning_negative, batch) > contrastive(right, batch) + 5


def test_an_export_is_loaded_by_open_clip_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build().eval()
    export(model, tmp_path)
    loaded, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path}")
    images, texts = torch.randn(2, 3, 56, 56), tokenizer(["key", "red ball"])
    assert texts.shape == (2, 16)
    assert next(loaded.parameters()).dtype == torch.float32
    assert loaded.visual.preprocess_cfg["size"] in (56, (56, 56))
    assert len(preprocess.transforms) == 5
    for name in ("mean", "std", "interpolation", "resize_mode"):
        assert loaded.visual.preprocess_cfg[name] == PREPROCESS_CFG[name] or name in ("mean", "std")
    with torch.no_grad():  # float16 storage: three digits
        torch.testing.assert_close(loaded.encode_image(images), model.encode_image(images), atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(loaded.encode_text(texts), model.encode_text(texts), atol=1e-2, rtol=1e-2)


def test_distinct_frames_are_distinct_and_the_same_each_time() -> None:
    views, frames = distinct_frames("MiniGrid-MemoryS7-v0", 200)
    again, _ = distinct_frames("MiniGrid-MemoryS7-v0", 200)
    assert len({frame.tobytes() for frame in frames}) == len(frames) == len(views)
    assert np.array_equal(views, again)


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {word: index for index, word in enumerate(("key", "ball", "apple", "river", "house"))}
    monkeypatch.setattr(train, "load_language_words", lambda _: LanguageModelWords("few", {}, words))


def options(out: Path, **changes: object) -> argparse.Namespace:
    settings = {"out": out, "iterations": 3, "rows": 4, "negatives": 2, "language_model": "", "seed": 0, "threads": 1}
    return argparse.Namespace(**(settings | {"resume": False} | changes))


@pytest.mark.usefixtures("few_words")
def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    stopped = train.Trainer(options=options(tmp_path))
    stopped.losses.append(stopped.step(0))
    stopped.save()
    resumed = train.Trainer(options=options(tmp_path, seed=0, resume=True))
    resumed.load()
    for one, other in zip(stopped.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    resumed.run()
    assert len(resumed.losses) == 3
    assert (tmp_path / "export" / "open_clip_model.safetensors").is_file()


def test_extra_words_never_include_a_bare_word() -> None:
    negatives = Negatives(words=["key", "apple", "wall", "river"], seed=0)
    assert negatives.words == ["apple", "river"]
    assert set(negatives.sample(0, 2)) <= {"apple", "river"}


def test_the_learning_rate_warms_up_and_decays_to_nothing() -> None:
    rates = [train.learning_rate(iteration, 600) for iteration in range(600)]
    assert max(rates) == pytest.approx(train.PEAK_RATE)
    assert rates[0] < rates[30] < rates[59]
    assert rates[-1] < 0.01 * train.PEAK_RATE


@pytest.mark.parametrize("looks", [False, True])
def test_an_augmented_batch_has_other_pixels_and_the_same_texts(looks: bool) -> None:
    clean, augmented = (make_batch(0, 3, 40, ["zebra"], looks=looks, augmentation=name) for name in ("", "strong"))
    assert clean.texts == augmented.texts
    assert torch.equal(clean.word_target, augmented.word_target)
    assert torch.equal(clean.true, augmented.true)
    changed = (clean.images != augmented.images).flatten(1).any(1)
    assert 0 < changed.sum() < len(changed)


def test_augmentation_is_refused_for_scenes_that_cannot_be_augmented() -> None:
    assert train.augmented(train.GRID, "") is train.GRID
    batch = train.augmented(train.GRID, "strong").batch(0, 3, 8, [])
    assert torch.equal(batch.images, make_batch(0, 3, 8, [], augmentation="strong").images)
    with pytest.raises(SystemExit, match="expected scenes of MiniGrid"):
        train.augmented(replace(train.GRID, augmentable=False), "mild")

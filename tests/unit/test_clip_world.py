"""The small CLIP of MiniWorld: exact captions, scenes that repeat by seed, training that goes on, frames kept whole."""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from services.retrieval.clip_model import load_clip
from services.retrieval.overlap import LanguageModelWords
from services.retrieval.preprocess import Preprocessing
from training.clip import train
from training.clip.world.frames import walk
from training.clip.world.scenes import Scenes
from training.clip.world.train import PREPROCESS_CFG, SIZE, WORLD, make_batch
from training.clip.world.visible import look, place
from training.clip.world.words import BARE_WORDS, CLEAR, Seen, caption
from training.environments import single_environment
from training.environments.miniworld_sign import ENV_ID


def world_with_agent(env_id: str, position: tuple[float, float], degrees: float) -> Any:
    env = single_environment(env_id)
    env.reset(seed=0)
    world: Any = env.unwrapped
    world.agent.pos, world.agent.dir = np.array([position[0], 0.0, position[1]]), math.radians(degrees)
    return world


def test_a_box_ahead_is_seen_with_as_many_pixels_as_it_covers() -> None:
    world = world_with_agent("MiniWorld-Sign-v0", (4.5, 2.0), 180)  # the blue box at (1, 1) is to the right ahead
    frame, things = look(world)
    (box,) = [thing for thing in things if thing.kind == "box"]
    blue = (frame[..., 2] > 100) & (frame[..., 0] < 60)
    assert box.colour == "blue"
    assert box.pixels == pytest.approx(int(blue.sum()), rel=0.25)


def test_looking_leaves_the_world_as_it_was() -> None:
    world = world_with_agent(ENV_ID, (4.5, 9.0), 0)
    before, entities = world.render_obs(), list(world.entities)
    look(world)
    assert world.entities == entities
    np.testing.assert_array_equal(world.render_obs(), before)


def test_nothing_is_seen_through_a_wall() -> None:
    world = world_with_agent("MiniWorld-Sign-v0", (8.0, 8.0), 90)  # behind the wall ahead stand two boxes
    assert look(world)[1] == []
    assert place(world) == "wall"


def test_a_sign_is_read_where_all_its_letters_are_in_view_and_not_from_aside() -> None:
    before = world_with_agent(ENV_ID, (4.5, 10.0), 0)
    (sign,) = look(before)[1]
    assert sign.text == (before.colour, before.kind)
    said = caption([sign], "room")
    assert sorted(said.words, key=lambda word: -said.words[word])[:2] == [before.colour, before.kind]
    aside = look(world_with_agent(ENV_ID, (9.0, 12.4), 60))[1]
    assert [thing.text for thing in aside if thing.kind == "sign"] in ([()], [])


def test_a_box_is_named_before_its_colour_and_the_larger_thing_before_the_smaller() -> None:
    said = caption([Seen("key", "green", 30), Seen("box", "red", 200)], "room")
    assert sorted(said.words, key=lambda word: -said.words[word]) == ["box", "red", "key", "green"]
    assert sum(said.words.values()) == pytest.approx(1)
    assert said.first == "box"
    assert caption([Seen("box", "red", CLEAR - 1)], "corridor").first == "corridor"


def test_scenes_are_a_pure_function_of_the_generator() -> None:
    first, said = Scenes().draw(np.random.default_rng((0, 1)), 10)
    again, said_again = Scenes().draw(np.random.default_rng((0, 1)), 10)
    np.testing.assert_array_equal(first, again)
    assert said == said_again
    assert (first != Scenes().draw(np.random.default_rng((0, 2)), 10)[0]).any()


def test_a_batch_puts_each_images_target_on_true_texts_alone() -> None:
    batch = make_batch(0, 0, 12, ["apple"])
    assert batch.images.shape == (12, 3, *SIZE)
    torch.testing.assert_close(batch.word_target.sum(1), torch.ones(12))
    assert batch.true[batch.word_target > 0].all()
    assert batch.true[torch.arange(12), batch.longer_target].all()
    assert not batch.true[:, batch.texts.index("apple")].any()
    assert set(batch.texts[: len(BARE_WORDS)]) == set(BARE_WORDS)


def test_frames_of_the_models_own_oblong_size_are_kept_whole_as_open_clip_keeps_them() -> None:
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (3, *SIZE, 3), dtype=np.uint8))
    ours = Preprocessing(cfg=PREPROCESS_CFG, mode="model", device=torch.device("cpu"))(frames)
    theirs = image_transform_v2(PreprocessCfg(**PREPROCESS_CFG), is_train=False)
    assert ours.shape == (3, 3, *SIZE)
    assert torch.equal(ours, torch.stack([theirs(Image.fromarray(frame)) for frame in frames]))


def test_training_goes_on_from_its_checkpoint_and_exports_a_model_that_open_clip_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {word: index for index, word in enumerate(("key", "box", "apple", "river"))}
    monkeypatch.setattr(train, "load_language_words", lambda _: LanguageModelWords("few", {}, words))
    settings = {"out": tmp_path, "iterations": 2, "rows": 4, "negatives": 2, "language_model": "", "seed": 0, "threads": 1}
    options = argparse.Namespace(**settings, resume=False)
    stopped = train.Trainer(options=options, scenes=WORLD)
    stopped.losses.append(stopped.step(0))
    stopped.save()
    resumed = train.Trainer(options=options, scenes=WORLD)
    resumed.load()
    resumed.run()
    assert len(resumed.losses) == 2
    loaded = load_clip(f"file:{tmp_path}/export").model
    assert tuple(loaded.visual.image_size) == SIZE  # type: ignore[union-attr, arg-type]


def test_the_held_out_frames_of_an_environment_repeat() -> None:
    one, other = walk("MiniWorld-FourRooms-v0", 12), walk("MiniWorld-FourRooms-v0", 12)
    for (frame, things, where), (again, *rest) in zip(one, other, strict=True):
        np.testing.assert_array_equal(frame, again)
        assert [things, where] == rest

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

from agent.build_vocabulary.overlap import LanguageModelWords
from agent.retrieval.clip import load_clip
from agent.retrieval.preprocess import Preprocessing
from training.clip import train
from training.clip.batches import normalise
from training.clip.world import data
from training.clip.world.frames import walk
from training.clip.world.scenes import Scenes
from training.clip.world.train import PREPROCESS_CFG, world
from training.clip.world.views import SIZE, Views, change, shows_sign, squash
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


@pytest.mark.slow
def test_scenes_are_a_pure_function_of_the_generator() -> None:
    first, said = Scenes().draw(np.random.default_rng((0, 1)), 10)
    again, said_again = Scenes().draw(np.random.default_rng((0, 1)), 10)
    np.testing.assert_array_equal(first, again)
    assert said == said_again
    assert (first != Scenes().draw(np.random.default_rng((0, 2)), 10)[0]).any()


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    return Views(tmp_path_factory.mktemp("views"), shards=2, views=12)


@pytest.mark.slow
def test_a_shard_that_is_missing_is_made_again_alike_and_the_others_are_left_alone(views: Views) -> None:
    data.make(views.folder, shards=2, views=12)
    frames, said = data.load(views.folder)
    assert frames.shape == (24, 60, 80, 3)
    kept = (views.folder / "shard-000.npz").stat().st_mtime_ns
    (views.folder / "shard-001.npz").unlink()
    data.make(views.folder, shards=2, views=12)
    again, said_again = data.load(views.folder)
    np.testing.assert_array_equal(frames, again)
    assert said == said_again
    assert (views.folder / "shard-000.npz").stat().st_mtime_ns == kept


def test_views_of_two_seeds_are_not_mixed(views: Views) -> None:
    data.make(views.folder, shards=2, views=12)
    with pytest.raises(ValueError, match="seed"):
        data.make(views.folder, seed=1, shards=3, views=12)


def test_a_batch_puts_each_images_target_on_true_texts_alone(views: Views) -> None:
    batch = views.batch(0, 0, 12, ["apple"])
    assert batch.images.shape == (12, 3, SIZE, SIZE)
    torch.testing.assert_close(batch.word_target.sum(1), torch.ones(12))
    assert batch.true[batch.word_target > 0].all()
    assert batch.true[torch.arange(12), batch.longer_target].all()
    assert not batch.true[:, batch.texts.index("apple")].any()
    assert set(batch.texts[: len(BARE_WORDS)]) == set(BARE_WORDS)


def test_a_batch_repeats_and_another_iteration_has_another(views: Views) -> None:
    assert torch.equal(views.batch(0, 3, 8, []).images, views.batch(0, 3, 8, []).images)
    assert not torch.equal(views.batch(0, 3, 8, []).images, views.batch(0, 4, 8, []).images)


def test_a_changed_view_keeps_its_hues_and_is_mirrored_where_told() -> None:
    frames = np.zeros((2, SIZE, SIZE, 3), dtype=np.uint8)
    frames[..., 0], frames[:, :, SIZE // 2 :, 0] = 90, 170  # red, brighter to the right
    plain, mirrored = change(np.random.default_rng(0), frames, np.array([False, True])).astype(int)
    assert (plain[..., 0] > plain[..., 1]).all()
    assert (mirrored[..., 0] > mirrored[..., 1]).all()
    assert plain[:, -1, 0].mean() > plain[:, 0, 0].mean()
    assert mirrored[:, -1, 0].mean() < mirrored[:, 0, 0].mean()


def test_a_view_with_a_sign_is_known_whether_it_can_be_read_or_not() -> None:
    for text in ((), ("red", "key")):
        assert shows_sign(caption([Seen("sign", "", 90, text), Seen("box", "red", 20)], "room"))
    assert not shows_sign(caption([Seen("box", "red", 20)], "room"))


def test_training_and_retrieval_squash_frames_as_open_clip_does() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 60, 80, 3), dtype=np.uint8)
    transform = image_transform_v2(PreprocessCfg(**PREPROCESS_CFG), is_train=False)
    theirs = torch.stack([transform(Image.fromarray(frame)) for frame in frames])
    served = Preprocessing(cfg=PREPROCESS_CFG, mode="model", device=torch.device("cpu"))(list(frames))
    assert theirs.shape == (3, 3, SIZE, SIZE)
    assert torch.equal(served, theirs)
    torch.testing.assert_close(normalise(squash(frames)), theirs, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_training_goes_on_from_its_checkpoint_and_exports_a_model_that_open_clip_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, views: Views
) -> None:
    words = {word: index for index, word in enumerate(("key", "box", "apple", "river"))}
    monkeypatch.setattr(train, "load_language_words", lambda _: LanguageModelWords("few", {}, words))
    settings = {"out": tmp_path, "iterations": 2, "rows": 4, "negatives": 2, "language_model": "", "seed": 0, "threads": 1}
    options = argparse.Namespace(**settings, resume=False)
    stopped = train.Trainer(options=options, scenes=world(views))
    stopped.losses.append(stopped.step(0))
    stopped.save()
    resumed = train.Trainer(options=options, scenes=world(views))
    resumed.load()
    resumed.run()
    assert len(resumed.losses) == 2
    image = views.images(np.random.default_rng(0), 3)
    loaded, trained = load_clip(f"file:{tmp_path}/export").model, resumed.model.float().eval()
    with torch.no_grad():  # batch statistics are part of what is exported
        torch.testing.assert_close(loaded.encode_image(image), trained.encode_image(image), rtol=0.02, atol=0.02)  # type: ignore[operator]


def test_the_held_out_frames_of_an_environment_repeat() -> None:
    one, other = walk("MiniWorld-FourRooms-v0", 12), walk("MiniWorld-FourRooms-v0", 12)
    for (frame, things, where), (again, *rest) in zip(one, other, strict=True):
        np.testing.assert_array_equal(frame, again)
        assert [things, where] == rest

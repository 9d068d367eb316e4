"""Continuous recognition: rules, seeds, views, and one environment against many; on generated pictures."""

import colorsys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from training.environments import single_environment, vector_environment
from training.environments.own import HELD_OUT, RECOGNITION, gallery
from training.environments.recognition import view
from training.environments.recognition.environment import RecognitionEnv, RecognitionVecEnv
from training.environments.recognition.game import NEW, OLD, TIME_LIMIT, TRIALS, Action, Game
from training.environments.recognition.pictures import (
    FOLDER,
    PicturesMissingError,
    load_pictures,
    picture_name,
    split_pictures,
    stamps_folder,
)

SHAPES = ("ellipse", "rectangle", "triangle", "line", "frame", "pie", "cross")
STAY, LEFT, RIGHT, UP, DOWN = Action


def draw_stamp(shape: str, colour: tuple[int, int, int], thick: int) -> Image.Image:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    box = (4, 4, 35, 12 + 8 * thick)
    if shape in ("ellipse", "rectangle"):
        getattr(pen, shape)(box, fill=colour)
    elif shape == "triangle":
        pen.polygon([(20, 2), (4, box[3]), (36, 36)], fill=colour)
    elif shape == "line":
        pen.line((2, 2, 37, 37), fill=colour, width=2 + 3 * thick)
    elif shape == "frame":
        pen.rectangle((2, 2, 37, 37), outline=colour, width=1 + 2 * thick)
    elif shape == "pie":
        pen.pieslice((2, 2, 37, 37), 0, 60 + 60 * thick, fill=colour)
    else:
        pen.line((20, 2, 20, 37), fill=colour, width=1 + 2 * thick)
        pen.line((2, 20, 37, 20), fill=colour, width=4)
    return image


@pytest.fixture(scope="session")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the stamps' with 210 pictures of its own."""
    folder = tmp_path_factory.mktemp("stamps")
    (folder / "things").mkdir()
    (folder / "symbols").mkdir()
    for shape, hue, thick in product(SHAPES, range(10), range(3)):
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue / 10, 1, 0.8))
        name = f"{shape}-{hue}-{thick}"
        draw_stamp(shape, (red, green, blue), thick).save(folder / "things" / f"{name}.png")
        (folder / "things" / f"{name}.txt").write_text(f"A {shape} {hue} {thick}.\nde.utf8=Etwas.\n")
    draw_stamp("pie", (0, 0, 0), 1).save(folder / "symbols" / "letter.png")
    (folder / "symbols" / "letter.txt").write_text("The letter A.\n")
    draw_stamp("pie", (0, 0, 0), 1).save(folder / "things" / "uncaptioned.png")
    draw_stamp("pie", (0, 0, 0), 1).save(folder / "things" / "zz-twice.png")
    (folder / "things" / "zz-twice.txt").write_text("A pie 0 0.\n")
    return folder


@pytest.fixture(autouse=True)
def _use_stamps(stamps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_STAMPS", str(stamps))


def towards(game: Game, target: tuple[int, int]) -> int:
    """The action that brings the gaze nearer to a cell."""
    yaw, pitch = target[0] - game.gaze[0], target[1] - game.gaze[1]
    if yaw:
        return RIGHT if yaw > 0 else LEFT
    return DOWN if pitch > 0 else UP if pitch else STAY


def oracle(game: Game, answer: tuple[int, int] | None = None) -> int:
    """Knows the truth (or gives `answer`)."""
    if game.picture is None or game.right is not None:
        return towards(game, (0, 0))
    return towards(game, answer or (OLD if game.old else NEW))


def shown(game: Game) -> Iterator[tuple[int, bool]]:
    """Plays an episode; the picture of each trial and whether it counts as old."""
    before: int | None = None
    ended = False
    while not ended:
        if game.picture is not None and before is None:
            yield game.picture, game.old
        before = game.picture
        _, ended, truncated = game.step(oracle(game))
        assert not truncated


def environment() -> RecognitionEnv:
    env = single_environment(RECOGNITION)
    assert isinstance(env, RecognitionEnv)
    return env


def test_who_knows_the_truth_gets_every_trial_right_in_six_steps_each() -> None:
    env = environment()
    for seed in range(3):
        frame, _ = env.reset(seed=seed)
        total, steps, ended = 0.0, 0, False
        while not ended:
            assert frame.shape == (64, 64, 3)
            assert frame.dtype == np.uint8
            frame, reward, ended, truncated, _ = env.step(oracle(env.game))
            total, steps = total + reward, steps + 1
            assert not truncated
        assert total == TRIALS
        assert 6 * TRIALS - 3 <= steps <= 6 * TRIALS


def test_random_answers_get_half_of_the_trials_right() -> None:
    game, rng = Game(200), np.random.default_rng(0)
    totals = []
    for seed in range(30):
        game.reset(np.random.default_rng(seed))
        total, ended, answer = 0.0, False, NEW
        while not ended:
            if game.picture is None:
                answer = NEW if rng.random() < 0.5 else OLD
            reward, ended, _ = game.step(oracle(game, answer))
            total += reward
        totals.append(total)
    assert np.mean(totals) == pytest.approx(30, abs=2)


def test_the_first_picture_is_new_and_later_ones_are_new_with_probability_one_half() -> None:
    game = Game(100)
    later = []
    for seed in range(60):
        game.reset(np.random.default_rng(seed))
        trials = list(shown(game))
        assert len(trials) == TRIALS
        assert not trials[0][1]
        later += [old for _, old in trials[1:]]
    assert np.mean(later) == pytest.approx(0.5, abs=0.03)


def test_old_pictures_were_shown_before_and_new_ones_never() -> None:
    game = Game(60)
    for seed in range(20):
        game.reset(np.random.default_rng(seed))
        met: set[int] = set()
        for picture, old in shown(game):
            assert (picture in met) == old
            met.add(picture)
        assert len(met) == len(game.seen)


def test_each_of_the_pictures_seen_may_come_again_equally_often() -> None:
    game = Game(60)
    ages = []
    for seed in range(200):
        game.reset(np.random.default_rng(seed))
        order: list[int] = []
        for picture, old in shown(game):
            if old and len(order) > 1:
                ages.append(order.index(picture) / (len(order) - 1))
            if not old:
                order.append(picture)
    assert np.mean(ages) == pytest.approx(0.5, abs=0.02)


def at_first_picture(seed: int = 0) -> Game:
    game = Game(60)
    game.reset(np.random.default_rng(seed))
    while game.picture is None:
        game.step(towards(game, (0, 0)))
    return game


@pytest.mark.parametrize(("side", "pay"), [(LEFT, 1.0), (RIGHT, 0.0)])
def test_an_answer_is_paid_once_and_only_when_the_gaze_leaves_the_button(side: int, pay: float) -> None:
    game = at_first_picture()
    rewards = [game.step(action)[0] for action in (side, side, side, side, STAY)]
    assert rewards == [0.0] * 5
    assert game.right is (side == LEFT)
    assert game.trial == 0
    assert game.step(UP)[0] == pay
    assert (game.trial, game.picture) == (1, None)
    assert [game.step(action)[0] for action in (DOWN, side, UP)] == [0.0] * 3
    assert game.trial == 1


def test_the_second_button_cannot_be_reached_within_a_trial() -> None:
    game = at_first_picture()
    for _ in range(3):
        game.step(RIGHT)
    for _ in range(2):
        game.step(LEFT)
        assert game.picture is None
    game.step(LEFT)
    assert game.picture is not None
    assert game.trial == 1


def test_an_episode_of_idling_is_truncated_after_three_hundred_seconds() -> None:
    game = at_first_picture()
    outcomes = [game.step(STAY) for _ in range(TIME_LIMIT - game.steps)]
    assert not any(terminated or truncated for _, terminated, truncated in outcomes[:-1])
    assert outcomes[-1] == (0.0, False, True)


def test_an_episode_follows_from_its_seed_and_seeds_differ() -> None:
    def trials(seed: int) -> list[tuple[int, bool]]:
        game = Game(100)
        game.reset(np.random.default_rng(seed))
        return list(shown(game))

    assert trials(4) == trials(4)
    assert trials(4) != trials(5)


def test_one_environment_and_a_row_of_many_are_the_same_over_several_episodes() -> None:
    rows = 3
    many = vector_environment([(RECOGNITION, 2), (HELD_OUT, 1)], seed=7)
    assert isinstance(many, RecognitionVecEnv)
    single = [single_environment(name) for name in (RECOGNITION, RECOGNITION, HELD_OUT)]
    first = np.stack([env.reset(seed=7000 + row)[0] for row, env in enumerate(single)])
    frames: Any = many.reset()
    assert np.array_equal(first.transpose(0, 3, 1, 2), frames)
    rng = np.random.default_rng(0)
    totals, ended = np.zeros(rows), 0
    for _ in range(1200):
        wild = rng.random(rows) < 0.1
        actions = [int(rng.integers(5)) if wild[row] else oracle(many.games[row]) for row in range(rows)]
        frames, rewards, dones, infos = many.step(np.array(actions))
        for row, env in enumerate(single):
            frame, reward, terminated, truncated, _ = env.step(actions[row])
            totals[row] += reward
            assert (reward, terminated or truncated) == (rewards[row], dones[row])
            if dones[row]:
                assert np.array_equal(infos[row]["terminal_observation"], frame.transpose(2, 0, 1))
                assert infos[row]["episode"]["r"] == totals[row]
                assert infos[row]["TimeLimit.truncated"] == truncated
                assert infos[row]["environment"] == many.names[row]
                frame, _ = env.reset()
                totals[row], ended = 0, ended + 1
            assert np.array_equal(frame.transpose(2, 0, 1), frames[row])
    assert ended >= 2 * rows


def test_views_of_different_pictures_differ_and_a_view_is_always_the_same() -> None:
    shown_here = gallery(RECOGNITION)
    count = len(shown_here.pictures)
    middle = shown_here.views(list(range(count + 1)), [view.PLACE[0, 0]] * (count + 1))
    assert len({frame.tobytes() for frame in middle}) == count + 1
    again = view.Gallery(shown_here.pictures).views([3], [view.PLACE[0, 0]])[0]
    assert np.array_equal(again, middle[3])


def test_at_fixation_the_panel_fills_the_frame_and_the_picture_three_quarters_of_it() -> None:
    shown_here = gallery(RECOGNITION)
    cross, picture = shown_here.views([view.CROSS, 1], [view.PLACE[0, 0]] * 2)
    assert not (cross == np.array(view.ROOM)[:, None, None]).all(0).any()
    assert (cross[0].astype(int) - cross[1] > 60).sum() in range(12, 60)  # red, small, in the middle
    inside = (picture != 255).any(0)
    inside[:, :8] = inside[:, -8:] = False  # the buttons
    rows, columns = np.nonzero(inside)
    assert max(np.ptp(rows), np.ptp(columns)) in range(40, 50)


def test_the_button_that_is_looked_at_is_green_or_red_and_in_the_middle() -> None:
    shown_here = gallery(RECOGNITION)
    for button in (NEW, OLD):
        green, red = shown_here.views([1, 1], [view.PLACE[button], view.WRONG[button]])
        assert tuple(green[:, 32, 32]) == view.GREEN
        assert tuple(red[:, 32, 32]) == view.RED


def test_looking_right_moves_the_panel_left_and_looking_up_moves_it_down() -> None:
    shown_here = gallery(RECOGNITION)
    right, up = shown_here.views([0, 0], [view.PLACE[2, 0], view.PLACE[0, -1]])
    room = np.array(view.ROOM)[:, None, None]
    assert (right[:, :, -1:] == room).all()
    assert not (right[:, :, :1] == room).all(0).any()
    assert (up[:, :1] == room).all()
    assert not (up[:, -1:, 16:48] == room).all(0).any()


def test_pictures_are_captioned_no_symbols_one_per_caption(stamps: Path) -> None:
    pictures = load_pictures(stamps)
    names = [picture.name for picture in pictures]
    assert len(names) == len(set(names)) == 210
    assert "pie 0 0" in names
    assert not any("letter" in name for name in names)
    assert all(picture.pixels.shape == (96, 96, 3) for picture in pictures)


def test_a_caption_becomes_a_short_name_without_article_and_translations() -> None:
    assert picture_name("A brown hen.\nde.utf8=Ein Huhn.") == "brown hen"
    assert picture_name("Mercury—the planet closest to the Sun.") == "mercury"
    assert picture_name("An albino peahen (a female peafowl, or peacock).") == "albino peahen"
    assert picture_name("“Crossroads”.") == "crossroads"


def test_held_out_pictures_are_never_training_pictures_and_always_the_same(stamps: Path) -> None:
    pictures = load_pictures(stamps)
    training, held_out = split_pictures(pictures)
    assert (len(training), len(held_out)) == (147, 63)
    assert not {picture.name for picture in training} & {picture.name for picture in held_out}
    assert [picture.name for picture in split_pictures(pictures)[1]] == [picture.name for picture in held_out]


def test_too_few_pictures_for_an_episode_are_refused(stamps: Path) -> None:
    with pytest.raises(ValueError, match="pictures: an episode needs 60"):
        split_pictures(load_pictures(stamps)[:190])


def test_missing_stamps_say_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHELM_STAMPS", str(tmp_path / "nowhere"))
    with pytest.raises(PicturesMissingError, match="tuxpaint-stamps-default"):
        single_environment(RECOGNITION)


def test_an_unknown_recognition_id_is_refused() -> None:
    with pytest.raises(ValueError, match="shelm/Other-v0"):
        single_environment("shelm/Other-v0")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the Debian package tuxpaint-stamps-default is not installed")
def test_the_stamps_of_tux_paint_give_five_hundred_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHELM_STAMPS")
    pictures = load_pictures(stamps_folder())
    assert len(pictures) > 450
    assert {"frog", "brown hen", "race car"} <= {picture.name for picture in pictures}
    training, held_out = split_pictures(pictures)
    assert len(held_out) > 100 < len(training)
    assert all((picture.pixels != 255).any() for picture in pictures)

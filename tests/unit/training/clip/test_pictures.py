"""The small CLIP of continuous recognition: words of pictures, labelled views, a short training that is interrupted."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from agent.build_vocabulary.overlap import LanguageModelWords
from training.clip import train as shared
from training.clip.folder import build, export
from training.clip.loss import contrastive
from training.clip.pictures import train
from training.clip.pictures.evaluate import evaluate_pictures, evaluate_places
from training.clip.pictures.samples import NAMING, OTHERS, Samples, change, place_word
from training.clip.pictures.words import CROSS, PLACES, UNKNOWN, assign_words
from training.environments.recognition import view
from training.environments.recognition.game import NEW, OLD
from training.environments.recognition.pictures import SIDE, Picture

torch.set_num_threads(1)
COLOURS = {"red": (220, 30, 30), "green": (30, 160, 30), "blue": (30, 30, 220), "black": (0, 0, 0)}
KNOWN = {"apple", "red", "green", "blue", "black", "hen", "grapes", "feathers", "tail", "river", "house", *PLACES}


def picture(colour: str) -> Picture:
    pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    pixels[20:70, 10:60] = COLOURS[colour]
    return Picture(f"{colour} apple", pixels)


def samples() -> Samples:
    pictures = [picture(colour) for colour in COLOURS]
    return Samples(view.Gallery(pictures), assign_words([one.name for one in pictures], KNOWN))


def test_a_picture_is_called_by_its_head_noun() -> None:
    names = ["brown hen", "bunch of grapes", "apple with a red leaf"]
    assert assign_words(names, KNOWN) == ["hen", "grapes", "apple"]


def test_pictures_that_share_a_noun_get_different_words_where_their_names_allow() -> None:
    names = ["apple", "red apple", "green apple", "fuji apple"]
    assert assign_words(names, KNOWN) == ["apple", "red", "green", "apple"]


def test_a_later_picture_may_take_the_noun_of_one_that_has_another_word() -> None:
    assert assign_words(["red apple", "fuji apple"], KNOWN) == ["red", "apple"]


def test_a_noun_that_cannot_be_remembered_is_replaced_by_a_related_word() -> None:
    assert assign_words(["peacock"], KNOWN) == ["feathers"]
    assert assign_words(["zyzzyva"], KNOWN) == [UNKNOWN]


def test_words_of_views_without_a_picture_name_no_picture() -> None:
    assert assign_words(["cross", "new apple"], KNOWN) == [UNKNOWN, "apple"]


def test_views_are_named_by_the_button_or_the_direction_when_the_picture_is_cut() -> None:
    assert sorted([*NAMING, *OTHERS]) == list(range(view.VIEWS))
    assert {place_word(place) for place in (view.PLACE[NEW], view.WRONG[NEW])} == {"new"}
    assert {place_word(place) for place in (view.PLACE[OLD], view.WRONG[OLD])} == {"old"}
    assert place_word(view.PLACE[-2, 0]) == "left"
    assert place_word(view.PLACE[2, 1]) == "right"
    assert view.PLACE[0, 0] in NAMING


def test_views_are_drawn_with_their_words() -> None:
    drawn = samples()
    frames, said = drawn.draw(np.random.default_rng(0), 300)
    assert frames.shape == (300, 64, 64, 3)
    assert {word for word, _ in said} == {*drawn.words, *PLACES}
    for frame, (word, caption) in zip(frames, said, strict=True):
        if word == CROSS:
            assert caption == CROSS
            assert not (frame == 0).all(2).any()  # no black button
        if word in drawn.words:
            assert caption.split()[1] == "apple"


def test_a_batch_of_views_depends_on_seed_and_iteration_alone() -> None:
    one, same, other = (samples().batch(1, iteration, 16, ["river"]) for iteration in (2, 2, 3))
    assert torch.equal(one.images, same.images)
    assert one.texts == same.texts
    assert not torch.equal(one.images, other.images)


def test_the_true_texts_of_a_view_are_its_word_and_its_name() -> None:
    drawn = samples()
    batch = drawn.batch(0, 0, 64, ["river", "apple", "house"])
    _, said = drawn.draw(np.random.default_rng((0, 0)), 64)
    for row, pair in enumerate(said):
        assert {batch.texts[column] for column in batch.true[row].nonzero().flatten().tolist()} == set(pair)
        assert batch.texts[int(batch.word_target[row].argmax())] == pair[0]
        assert batch.texts[int(batch.longer_target[row])] == pair[1]
    assert len(set(batch.texts)) == len(batch.texts)
    assert not batch.true[:, batch.captioned :].any()
    right = batch.true.float() * 20
    assert contrastive(right, batch) < contrastive(torch.zeros_like(right), batch)


def test_a_changed_picture_keeps_size_and_background() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        changed = change(picture("red"), rng)
        assert changed.pixels.shape == (SIDE, SIDE, 3)
        assert not np.array_equal(changed.pixels, picture("red").pixels)
        assert (changed.pixels != 255).any()


def test_the_export_for_pictures_is_loaded_by_open_clip_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build(train.MODEL_CFG).eval()
    export(model, tmp_path, train.MODEL_CFG, train.PREPROCESS_CFG)
    loaded, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    images = torch.randn(2, 3, 64, 64)
    texts = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(["key", "red ball"])
    assert texts.shape == (2, 8)
    assert len(preprocess.transforms) == 5
    with torch.no_grad():  # float16 storage: three digits
        torch.testing.assert_close(loaded.encode_image(images), model.encode_image(images), atol=1e-2, rtol=1e-2)
        torch.testing.assert_close(loaded.encode_text(texts), model.encode_text(texts), atol=1e-2, rtol=1e-2)


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {word: index for index, word in enumerate(sorted(KNOWN))}
    for module in (train, shared):
        monkeypatch.setattr(module, "load_language_words", lambda _: LanguageModelWords("few", {}, words))
    monkeypatch.setattr(train, "gallery", lambda _: samples().gallery)


def options(out: Path, **changes: object) -> argparse.Namespace:
    settings = {"out": out, "iterations": 3, "rows": 4, "negatives": 2, "language_model": "", "seed": 0, "threads": 1}
    return argparse.Namespace(**(settings | {"resume": False} | changes))


@pytest.mark.usefixtures("_few")
def test_training_on_pictures_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    stopped = shared.Trainer(options=options(tmp_path), scenes=train.pictures(""))
    stopped.losses.append(stopped.step(0))
    stopped.save()
    resumed = shared.Trainer(options=options(tmp_path), scenes=train.pictures(""))
    resumed.load()
    for one, other in zip(stopped.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
    resumed.run()
    assert len(resumed.losses) == 3
    assert (tmp_path / "export" / "open_clip_model.safetensors").is_file()


@pytest.mark.usefixtures("_few")
def test_extra_words_are_no_pictures_words(tmp_path: Path) -> None:
    trainer = shared.Trainer(options=options(tmp_path), scenes=train.pictures(""))
    trainer.negatives.mine(trainer.model, 0)
    drawn = {word for iteration in range(20) for word in trainer.negatives.sample(iteration, 4)}
    assert drawn
    assert not drawn & set(samples().words)


class Reader:
    """Stands for retrieval: tells the pictures by their colour, and nothing else."""

    words = sorted(KNOWN)

    def retrieve(self, frames: Sequence[np.ndarray]) -> list[list[argparse.Namespace]]:
        return [[argparse.Namespace(text=word) for word in self._read(frame)] for frame in frames]

    @staticmethod
    def _read(frame: np.ndarray) -> list[str]:
        for word, colour in COLOURS.items():
            if word != "black" and (frame == colour).all(2).sum() > 100:
                return [word if word != "green" else "blue", word, "apple", "hen"]
        return ["cross", "apple", "red", "hen"]


def test_the_evaluation_counts_what_the_reader_makes_of_the_views() -> None:
    reader, gallery = Reader(), samples().gallery
    figures = evaluate_pictures(reader, reader, gallery)  # type: ignore[arg-type]
    assert (figures["pictures"], figures["distinct"], figures["consistency"]) == (4, 3, 1.0)
    assert figures["collision"] == pytest.approx(2 / 12, abs=1e-4)  # green and blue are taken for each other
    intended = assign_words([one.name for one in gallery.pictures], KNOWN)
    assert figures["top1"] == np.mean([a == b for a, b in zip(intended, ["red", "blue", "blue", "cross"], strict=True)])
    assert evaluate_places(reader, gallery) == {"cross": 1.0, "aside": 0.0}  # type: ignore[arg-type]

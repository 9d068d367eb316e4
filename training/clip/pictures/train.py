"""Trains the small CLIP on the pictures of continuous recognition: `python -m training.clip.pictures.train --out FOLDER`.

Contract, options and failures: as training.clip.train; missing pictures raise `PicturesMissingError`. Patches of 16 pixels
and captions of 8 tokens suffice for one large picture and a few words, and make training several times cheaper.
"""

from typing import Any

from agent.build_vocabulary.language_words import load_language_words
from agent.build_vocabulary.overlap import overlap
from training.clip import folder
from training.clip.pictures.samples import Samples
from training.clip.pictures.words import assign_words
from training.clip.train import Scenes, train
from training.environments.own import RECOGNITION, gallery
from training.environments.recognition.view import SIZE

MODEL_CFG: dict[str, Any] = folder.MODEL_CFG | {
    "vision_cfg": folder.MODEL_CFG["vision_cfg"] | {"image_size": SIZE, "patch_size": 16},
    "text_cfg": folder.MODEL_CFG["text_cfg"] | {"context_length": 8},
}
PREPROCESS_CFG: dict[str, Any] = folder.PREPROCESS_CFG | {"size": SIZE}


def known_words(language_model: str) -> set[str]:
    """Returns the words that CLIP and the language model share."""
    return {entry.word for entry in overlap(load_language_words(language_model), "words")}


def pictures(language_model: str) -> Scenes:
    """Returns the training on the pictures that are not held out."""
    shown = gallery(RECOGNITION)
    # Matching all names together would leak information about held-out pictures, so only training names are matched.
    words = assign_words([picture.name for picture in shown.pictures], known_words(language_model))
    samples = Samples(shown, words)
    return Scenes(samples.words, samples.batch, samples.images, MODEL_CFG, PREPROCESS_CFG)


if __name__ == "__main__":
    description = "Train the small CLIP on the pictures of continuous recognition."
    train(lambda options: pictures(options.language_model), description, iterations=1200, rows=64, negatives=128)

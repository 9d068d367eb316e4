"""Makes a small CLIP robust without changing its words:
`python -m training.clip.robust --clip file:models/minigrid-memory/clip --out runs/clip-minigrid-robust`.

A copy of the model's image tower (the student) sees augmented synthetic views and learns to rank the vocabulary as the model
itself (the teacher) ranks it for the same views without augmentation, with `--target first` to put the teacher's first `--k`
words first, in their order, or, with `--target captions`, as the captions do. The text tower stays as it is, so the
vocabulary does too. The teacher's words are those that its policy was trained with; where several objects are in view they
may hang by a hair, from which `first` takes them, most of all with `--drawn`, which has more of those views; those of the
captions name the nearest object. With `--env` a quarter of each batch are views that are met in those environments: then
the words of their frames stay, and what is measured on them is not of frames that the model never saw. `--views world` is
for the CLIP of MiniWorld, whose views are rendered first if they are missing, `--views pictures` for that of recognition.

Contract: a batch is a pure function of (seed, iteration). `checkpoint.pt` is replaced atomically every 50 iterations and
`--resume` continues from it; `OUT/export` holds the model in open_clip's format, `OUT/training.json` settings and losses.
Statistics of batches that a tower has collected stay as they are. Failure policy: as training.clip.train; a vocabulary of
another CLIP raises ValueError, and captions of other views than MiniGrid's end the command.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from agent.retrieval.clip import clip_sha256, load_clip
from agent.vocabulary import Vocabulary
from training.clip.augment import STRENGTHS, augment
from training.clip.batches import word_shares
from training.clip.captions import BARE_WORDS, captions
from training.clip.folder import export
from training.clip.sources import FRAMES, GRID, Source, pictures_source, world_source
from training.clip.train import DECAY, QUICK, iterate, learning_rate, run
from training.clip.world import data
from training.clip.world.train import QUICK_VIEWS
from training.quick import parse

PEAK_RATE = 3e-4


def _model(spec: str) -> Any:
    """Returns open_clip's model with frozen weights."""
    return load_clip(spec).model


def in_order(logits: Tensor, wanted: Tensor) -> Tensor:
    """Returns the mean negative log-likelihood of drawing the wanted words in their order, each from those that are left.

    logits: float32 (rows, words). wanted: int64 (rows, k), the first word first.
    """
    loss = logits.new_zeros(())
    for place in wanted.unbind(-1):
        loss = loss + cross_entropy(logits, place)
        logits = logits.scatter(-1, place[:, None], -torch.inf)
    return loss / wanted.shape[-1]


class Distillation:
    """Teacher, student, optimiser and loss curve of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.config = json.loads((Path(options.clip.removeprefix("file:")) / "open_clip_config.json").read_text())
        self.teacher, self.student = _model(options.clip), _model(options.clip)
        self.student.visual.requires_grad_(True)
        vocabulary = Vocabulary.load(options.vocabulary)
        vocabulary.check_made_for(clip_sha256=clip_sha256(options.clip), words_sha256="")
        self.words: Tensor = normalize(vocabulary.embeddings, dim=-1) * self.teacher.logit_scale.exp()
        self.source = _source(options)
        met = [self.source.met(env) for env in options.env]
        self.met = np.concatenate(met) if met else np.empty((0,), np.uint8)
        self.rows = {word: vocabulary.words.index(word) for word in BARE_WORDS}
        parameters = self.student.visual.parameters()
        self.optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=DECAY, betas=(0.9, 0.98), fused=True)
        self.losses: list[float] = []

    def _logits(self, model: Any, frames: Any) -> Tensor:
        return normalize(model.visual(self.source.prepare(frames)), dim=-1) @ self.words.T

    def _draw(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Draws the views of a batch, and renders them."""
        options, met = self.options, self.met
        own = options.rows // 4 if len(met) else 0
        views = self.source.draw(rng, max(options.rows - own, options.drawn))
        frames = self.source.render(views)
        if len(views) > options.rows - own:
            chosen = self._hardest(frames, options.rows - own)
            views, frames = views[chosen], frames[chosen]
        if own:
            more = met[rng.integers(len(met), size=own)]
            views, frames = np.concatenate([views, more]), np.concatenate([frames, self.source.render(more)])
        return views, frames

    def _hardest(self, frames: NDArray[np.uint8], rows: int) -> NDArray[np.int64]:
        """Chooses frames: half those about which the teacher is least sure, and then the first of the others."""
        best = self._taught(frames).topk(self.options.k + 1).values
        order = (best[:, :-1] - best[:, 1:]).amin(-1).argsort().numpy()
        return np.concatenate([order[: rows // 2], np.sort(order[rows // 2 :])[: rows - rows // 2]])

    def _loss(self, views: NDArray[np.uint8], frames: NDArray[np.uint8], logits: Tensor) -> Tensor:
        """Returns the divergence of the student's words from the wanted ones, averaged over the frames."""
        if self.options.target == "first":
            return in_order(logits, self._taught(frames).topk(self.options.k).indices)
        target = self._captions(views) if self.options.target == "captions" else self._taught(frames).softmax(-1)
        entropy = -(target * target.clamp_min(1e-12).log()).sum(-1).mean()
        return cross_entropy(logits, target) - entropy

    def _taught(self, frames: NDArray[np.uint8]) -> Tensor:
        with torch.no_grad():
            return self._logits(self.teacher, frames)

    def _captions(self, views: NDArray[np.uint8]) -> Tensor:
        """Returns the distribution over the words of the vocabulary that the captions want, float32 (rows, words)."""
        target = torch.zeros(len(views), len(self.words))
        for row, view in enumerate(views):
            for word, share in word_shares(captions(view)).items():
                target[row, self.rows[word]] = share
        return target

    def step(self, iteration: int) -> float:
        """Makes one update; returns the loss: the divergence of the student's distribution of words from the target."""
        options, rng = self.options, np.random.default_rng((self.options.seed, iteration))
        views, frames = self._draw(rng)
        loss = self._loss(views, frames, self._logits(self.student, augment(options.augment, frames, rng)))
        self.optimizer.param_groups[0]["lr"] = learning_rate(iteration, options.iterations, PEAK_RATE)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.visual.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def save(self) -> None:
        """Replaces the checkpoint, the export and the record."""
        out: Path = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        visual, optimizer = self.student.visual.state_dict(), self.optimizer.state_dict()
        torch.save({"visual": visual, "optimizer": optimizer, "losses": self.losses}, out / "checkpoint.tmp")
        os.replace(out / "checkpoint.tmp", out / "checkpoint.pt")
        export(self.student, out / "export", self.config["model_cfg"], self.config["preprocess_cfg"])
        settings = {name: str(value) for name, value in vars(self.options).items()}
        (out / "training.json").write_text(json.dumps({"settings": settings, "losses": self.losses}) + "\n")

    def load(self) -> None:
        """Continues from the checkpoint in `--out`."""
        state: dict[str, Any] = torch.load(self.options.out / "checkpoint.pt", weights_only=True)
        self.student.visual.load_state_dict(state["visual"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]

    def run(self) -> None:
        """Runs the remaining iterations."""
        iterate(self.losses, self.options.iterations, step=self.step, save=self.save)


def _source(options: argparse.Namespace) -> Source:
    if options.views == "grid":
        return GRID
    if options.views == "pictures":
        return pictures_source()
    if options.quick:
        return world_source(options.out / "data", shards=1, views=QUICK_VIEWS, frames=QUICK_VIEWS)
    return world_source(data.FOLDER, shards=options.shards, views=data.VIEWS, frames=FRAMES)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--clip", default="file:models/minigrid-memory/clip", metavar="file:FOLDER")
    result.add_argument("--vocabulary", type=Path, default=Path("models/minigrid-memory/vocabulary.safetensors"))
    result.add_argument("--out", type=Path, required=True)
    result.add_argument(
        "--views", choices=("grid", "world", "pictures"), default="grid", help="of MiniGrid, of MiniWorld, recognition's"
    )
    result.add_argument("--shards", type=int, default=data.SHARDS, help="of MiniWorld's views, where they are rendered anew")
    result.add_argument("--augment", choices=tuple(STRENGTHS), default="colourless")
    result.add_argument("--target", choices=("teacher", "first", "captions"), default="teacher", help="wanted words")
    result.add_argument("--k", type=int, default=1, help="words, from the first on, whose order --target first teaches")
    result.add_argument("--iterations", type=int, default=600)
    result.add_argument("--rows", type=int, default=128, help="images per batch")
    result.add_argument("--env", nargs="+", default=[], metavar="ID", help="a quarter of each batch are views of these")
    result.add_argument("--drawn", type=int, default=0, help="views from which a batch takes those hardest to name; 0: none")
    result.add_argument("--seed", type=int, default=0)
    result.add_argument("--threads", type=int, default=1)
    result.add_argument("--resume", action="store_true")
    return result


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    options = parse(parser(), arguments, **QUICK)
    if options.views != "grid" and options.target == "captions":
        sys.exit("training.clip.robust: --target captions needs --views grid")
    run(options, lambda: Distillation(options))


if __name__ == "__main__":
    main()

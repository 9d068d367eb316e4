"""A sheet on which people rate whether an agent's words fit its frames, and what their ratings say.

`python -m training.sheet make --bundle models/NAME --env ID --out FOLDER` writes `sheet.html`, to be printed or read in a
browser, `ratings.csv`, which each rater fills (rating 1: the words fit the frame, 0: they do not), and `key.csv`, which
raters must not see: half of the frames stand beside their own words, the other half beside those of another frame.
`python -m training.sheet kappa --key FOLDER/key.csv RATINGS...` prints how well raters agree (Fleiss' kappa, and Cohen's for
each pair) and how often words were said to fit, own and others' apart, with Wilson's intervals.

Contract: frames are distinct ones of the environment's random walk, drawn with `--seed`; the same arguments give the same
files. Failure policy: ValueError names a file of ratings that lacks an item, has one twice, or another rating than 0 and 1.
"""

import argparse
import base64
import csv
import sys
from collections.abc import Sequence
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
from jinja2 import Template
from numpy.typing import NDArray
from PIL import Image
from shelm.gym.intervals import wilson
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa  # type: ignore[import-untyped]

from agent.bundle import load_bundle
from agent.engines.retrieval import load_retriever
from training.clip.evaluate import words_of
from training.clip.frames import distinct_frames
from training.report.tables import grid

ITEMS, STEPS, SEED = 60, 5000, 0
SIZE = 168  # pixels of a printed frame
SHEET = Template(
    """<!doctype html>
<meta charset="utf-8">
<title>Do the words fit?</title>
<style>
  body { font: 12pt sans-serif; max-width: 48em; margin: 1em auto }
  ol { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1em; padding: 0; list-style: none }
  li { break-inside: avoid; border: 1px solid #999; padding: .6em; text-align: center }
  img { image-rendering: pixelated; width: {{ size }}px; height: {{ size }}px; display: block; margin: .3em auto }
</style>
<h1>Do the words fit?</h1>
<p>The triangle at the bottom is who looks; it sees what is before it. Do the words below a picture name something that is in
it? Tick yes or no for each of the {{ items | length }} pictures, without talking to other raters, and copy your answers to
ratings.csv: 1 for yes, 0 for no.</p>
<ol>
{% for number, image, words in items %}<li><b>{{ number }}</b><img alt="picture {{ number }}"
src="data:image/png;base64,{{ image }}"><b>{{ words }}</b><br>yes &#9744; &nbsp; no &#9744;</li>
{% endfor %}</ol>
""",
    autoescape=True,
)


def chosen(count: int, items: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Returns (frame, frame whose words stand beside it) of each item. count: of frames; at most as many items are drawn."""
    frames = rng.permutation(count)[:items]
    others = set(rng.permutation(len(frames))[: len(frames) // 2].tolist())
    return [(int(one), int(rng.integers(count)) if at in others else int(one)) for at, one in enumerate(frames)]


def make(options: argparse.Namespace) -> None:
    """Writes the three files."""
    bundle = load_bundle(options.bundle)
    _, frames = distinct_frames(options.env, options.steps)
    retriever = load_retriever(bundle, device="cpu", cache_frames=0)
    words = [" ".join(found) for found in words_of(retriever, list(frames))]
    pairs = chosen(len(frames), options.items, np.random.default_rng(options.seed))
    options.out.mkdir(parents=True, exist_ok=True)
    items = [(number, _png(frames[frame]), words[other]) for number, (frame, other) in enumerate(pairs, 1)]
    (options.out / "sheet.html").write_text(SHEET.render(items=items, size=SIZE))
    _write(options.out / "ratings.csv", ["item", "rating"], [[str(number), ""] for number, *_ in items])
    # Words of another frame may be the same words: then they are the frame's own.
    own = [str(int(words[frame] == words[other])) for frame, other in pairs]
    _write(options.out / "key.csv", ["item", "own"], [[str(number), one] for number, one in enumerate(own, 1)])


def ratings_of(path: Path, items: Sequence[str]) -> list[int]:
    """Returns a rater's answers in the order of the items."""
    rows = _read(path)
    found = {row["item"]: row["rating"].strip() for row in rows}
    if len(found) != len(rows) or set(found) != set(items):
        raise ValueError(f"{path}: item: expected each of 1 to {len(items)} once")
    if wrong := [item for item in items if found[item] not in ("0", "1")]:
        raise ValueError(f"{path}: rating of item {wrong[0]}: expected 0 or 1, got {found[wrong[0]]!r}")
    return [int(found[item]) for item in items]


def kappa(key: Path, paths: Sequence[Path]) -> str:
    """Returns the tables of agreement and of shares."""
    rows = _read(key)
    items, own = [row["item"] for row in rows], np.array([row["own"] == "1" for row in rows])
    raters = {path.stem: ratings_of(path, items) for path in paths}
    agreement = [[f"{one}, {other}", _cohen(raters[one], raters[other])] for one, other in combinations(raters, 2)]
    counts = np.array(list(raters.values()))
    fleiss = fleiss_kappa(np.stack([(counts == value).sum(0) for value in (0, 1)], axis=1)) if len(raters) > 1 else None
    agreement.append(["all (Fleiss)", "-" if fleiss is None else f"{fleiss:.3f}"])
    shares = [[name, *(_share(np.array(given)[which]) for which in (own, ~own))] for name, given in raters.items()]
    return "\n\n".join(
        [grid(["raters", "kappa"], agreement), grid(["rater", "own words fit", "words of another frame fit"], shares)]
    )


def _cohen(one: Sequence[int], other: Sequence[int]) -> str:
    table = np.zeros((2, 2))
    np.add.at(table, (list(one), list(other)), 1)
    return f"{cohens_kappa(table).kappa:.3f}"


def _share(answers: NDArray[np.int64]) -> str:
    low, high = wilson(float(answers.mean()), len(answers))
    return f"{answers.sum()} of {len(answers)} [{low:.2f}, {high:.2f}]"


def _png(frame: NDArray[np.uint8]) -> str:
    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _write(path: Path, head: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    making = actions.add_parser("make", help="write a sheet")
    making.add_argument("--bundle", type=Path, required=True)
    making.add_argument("--env", required=True, help="of MiniGrid")
    making.add_argument("--out", type=Path, required=True)
    making.add_argument("--items", type=int, default=ITEMS)
    making.add_argument("--steps", type=int, default=STEPS, help="of the random walk")
    making.add_argument("--seed", type=int, default=SEED)
    judging = actions.add_parser("kappa", help="read what raters filled in")
    judging.add_argument("--key", type=Path, required=True)
    judging.add_argument("ratings", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    if options.action == "make":
        make(options)
        return
    try:
        print(kappa(options.key, options.ratings))
    except ValueError as error:
        sys.exit(f"training.sheet: {error}")


if __name__ == "__main__":
    main()

"""How often different things get the same words:
`python -m training.clip.conflation --bundle models/NAME --env ID --out FILE`.

For k = 1, 2, 3 words a frame, over all pairs of distinct frames of a random walk in which different objects are in view: the
share that gets the same words. Objects are counted twice: by kind alone (a key, a ball), and by kind, colour and state (a
red closed door). A memory that holds the same words for both of a pair cannot tell them apart later, whatever the policy.

Contract: pairs are unordered; the words of a frame are compared in their order, most similar first. Failure policy: a bundle
that cannot be loaded ends the command with its error.
"""

import argparse
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.engines.retrieval import make_retriever
from agent.vocabulary import load_vocabulary
from training.clip.evaluate import words_of
from training.clip.frames import distinct_frames, kinds
from training.clip.scenes import OBJECTS, View
from training.quick import parse
from training.word_edits import write

MOST_WORDS, STEPS = 3, 5000


def things(view: View) -> frozenset[tuple[int, ...]]:
    """Returns (kind, colour, state) of the objects in view."""
    cells = view[np.isin(view[..., 0], OBJECTS)]
    return frozenset(tuple(cell) for cell in cells.tolist())


def numbered(values: Sequence[Hashable]) -> NDArray[np.int64]:
    """Returns a number for each value, the same for equal ones."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values])


def conflated(states: Sequence[Hashable], words: Sequence[Hashable]) -> tuple[int, int]:
    """Returns how many pairs have different states, and how many of them have the same words."""
    upper = np.triu_indices(len(states), 1)
    differ = np.not_equal.outer(numbered(states), numbered(states))[upper]
    same = np.equal.outer(numbered(words), numbered(words))[upper]
    return int(differ.sum()), int((differ & same).sum())


def rows_of(bundle: AgentBundle, env_id: str, steps: int) -> list[dict[str, Any]]:
    """Returns one row for each k."""
    part = bundle.manifest.retrieval
    retriever = make_retriever(
        bundle.source(part.clip), load_vocabulary(bundle), k=MOST_WORDS, preprocessing=part.preprocessing, cache_frames=0
    )
    views, frames = distinct_frames(env_id, steps)
    found = words_of(retriever, list(frames))
    states: dict[str, list[Hashable]] = {
        "kinds": [frozenset(kinds(view)) for view in views],
        "objects": [things(view) for view in views],
    }
    rows = []
    for k in range(1, MOST_WORDS + 1):
        words = [tuple(one[:k]) for one in found]
        row: dict[str, Any] = {"env": env_id, "k": k, "frames": len(frames), "different_words": len(set(words))}
        for name, values in states.items():
            row[f"{name}_pairs"], row[f"{name}_same"] = conflated(values, words)
        rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--env", nargs="+", required=True, help="of MiniGrid")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the random walk")
    parser.add_argument("--out", type=Path, required=True)
    options = parse(parser, arguments, steps=200)
    torch.set_num_threads(1)
    bundle = load_bundle(options.bundle)
    rows = [row for env_id in tqdm(options.env, unit="environment") for row in rows_of(bundle, env_id, options.steps)]
    write(options.out, "training.clip.conflation", arguments, {"agent": bundle.name, "digest": bundle.digest, "rows": rows})


if __name__ == "__main__":
    main()

"""Checks the words that CLIP models retrieve for perturbed frames of the environments:
`python -m training.clip.evaluate_perturbed --bundle models/minigrid-memory models/NEW --out FILE`.

For each bundle, environment and perturbation: the share of frames with one kind of object in view whose first word is its
name, and the share of all frames whose first word is the one that the first bundle retrieves for the unperturbed frame. All
words of the vocabulary compete. Each distinct frame of a random walk counts once, and is perturbed once. `--filter` passes
frames through a filter of training.clip.filters before retrieval.

Failure policy: a bundle that cannot be loaded ends the command with its error.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agent.bundle import load_bundle
from agent.engines.retrieval import load_retriever
from agent.retrieval.retriever import TokenRetriever
from training.clip.evaluate import words_of
from training.clip.filters import FILTERS
from training.clip.frames import ENVIRONMENTS, distinct_frames, single_kinds
from training.perturbations import PERTURBATIONS
from training.quick import parse
from training.run_log import commit

STEPS = 1000  # of the random walk


def perturbed(frames: NDArray[np.uint8], name: str) -> list[NDArray[np.uint8]]:
    """Returns each frame under one perturbation; row i is a pure function of (frame i, name, i)."""
    return [PERTURBATIONS[name](frame, np.random.default_rng(row)) for row, frame in enumerate(frames)]


def compare(views: NDArray[np.uint8], words: list[str], reference: list[str]) -> dict[str, Any]:
    """Returns how many of the frames have one kind of object, and both shares."""
    single = single_kinds(views)
    right = [words[row] == name for row, name in single.items()]
    same = [word == other for word, other in zip(words, reference, strict=True)]
    return {"frames": len(words), "same": float(np.mean(same)), "one_kind": len(single), "right": float(np.mean(right))}


def evaluate(retrievers: list[TokenRetriever], env_id: str, steps: int, chosen: str = "none") -> list[dict[str, Any]]:
    """Returns one row per bundle and perturbation. chosen: name of the filter."""
    views, frames = distinct_frames(env_id, steps)
    reference = [found[0] for found in words_of(retrievers[0], list(frames))]
    rows = []
    for number, retriever in enumerate(retrievers):
        for name in PERTURBATIONS:
            words = [
                found[0] for found in words_of(retriever, [FILTERS[chosen](frame) for frame in perturbed(frames, name)])
            ]
            rows.append(
                {"bundle": number, "filter": chosen, "env": env_id, "perturbation": name} | compare(views, words, reference)
            )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, nargs="+", required=True)
    parser.add_argument("--env", nargs="+", default=list(ENVIRONMENTS))
    parser.add_argument("--filter", nargs="+", choices=tuple(FILTERS), default=["none"], help="of frames before retrieval")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the random walk")
    parser.add_argument("--out", type=Path, required=True)
    options = parse(parser, arguments, env=["MiniGrid-MemoryS7-v0"], steps=30)
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "training.clip.evaluate_perturbed", *given])
    torch.set_num_threads(1)
    bundles = [load_bundle(folder) for folder in options.bundle]
    retrievers = [load_retriever(bundle, device="cpu", cache_frames=0) for bundle in bundles]
    rows = [
        row
        for env_id in tqdm(options.env)
        for chosen in options.filter
        for row in evaluate(retrievers, env_id, options.steps, chosen)
    ]
    named = [{"folder": str(folder), "digest": one.digest} for folder, one in zip(options.bundle, bundles, strict=True)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"command": command, "commit": commit(), "bundles": named, "rows": rows}) + "\n")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()

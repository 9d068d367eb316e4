"""Whether a floor of similarity would keep wrong words out of the memory:
`python -m training.clip.floor --bundle models/minigrid-memory --env MiniGrid-MemoryS11-v0 --out FILE`.

A frame whose best word is less similar than the floor would be remembered as a neutral word instead. A floor is the quantile
of the best similarities of an environment's unperturbed frames below which a given share of them falls. For each
perturbation: the area under the ROC curve with which the similarity tells the frames whose first word changes from those
whose word stays (0.5: not at all; null: one kind alone), and for each floor the share of either that falls below. Then the
agent is played greedily from every distinct start, its memory's view perturbed, with and without the floors.

Contract: frames are those of training.clip.evaluate_perturbed, episodes those of training.robustness. Failure policy: a
neutral word that the vocabulary lacks ends the command with the word.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.engines.retrieval import load_retriever
from agent.frame import Frame
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Word
from training.agents import Retriever, load_bundle_agent
from training.clip.evaluate_perturbed import STEPS, perturbed
from training.clip.frames import distinct_frames
from training.engines import CACHE_FRAMES
from training.environments import single_environment
from training.perturbations import PERTURBATIONS
from training.quick import parse
from training.robustness import cell
from training.run_log import commit
from training.starts import distinct_starts

SHARES = (0.01, 0.05, 0.2)  # of the unperturbed frames that a floor loses
PLAYED = ("clean", "noise 16", "JPEG 75", "brightness 0.75", "occlusion 5 %")
MOST_STEPS = 200


class Floored:
    """A retriever that gives a neutral word for frames whose best word is less similar than `floor`."""

    def __init__(self, retriever: TokenRetriever, *, floor: float, neutral: str) -> None:
        if neutral not in retriever.words:
            raise ValueError(f"--neutral: expected a word of the agent's vocabulary, got {neutral!r}")
        self._retriever, self._floor = retriever, floor
        self._neutral = Word(retriever.words.index(neutral), neutral, floor)

    def retrieve(self, frames: Sequence[Frame]) -> list[list[Word]]:
        """Returns the words of each frame."""
        found = self._retriever.retrieve(frames)
        return [words if words[0].similarity >= self._floor else [self._neutral] * len(words) for words in found]


def separation(similarity: NDArray[np.float64], changed: NDArray[np.bool_]) -> float | None:
    """Returns the probability that a frame whose word stays is more similar than one whose word changes; ties count half."""
    stays, changes = similarity[~changed][:, None], similarity[changed]
    if not stays.size or not changes.size:
        return None
    return float(((stays > changes) + 0.5 * (stays == changes)).mean())


def of_words(retriever: TokenRetriever, frames: NDArray[np.uint8]) -> tuple[dict[float, float], list[dict[str, Any]]]:
    """Returns the floor of each share, and a row for each perturbation."""
    best = [found[0] for found in retriever.retrieve(list(frames))]
    clean = np.array([word.similarity for word in best])
    floors = {share: float(np.quantile(clean, share)) for share in SHARES}
    rows = []
    for name in PERTURBATIONS:
        words = [found[0] for found in retriever.retrieve(perturbed(frames, name))]
        similarity = np.array([word.similarity for word in words])
        changed = np.array([word.row != before.row for word, before in zip(words, best, strict=True)])
        row = {"perturbation": name, "frames": len(words), "changed": int(changed.sum()), "mean": float(similarity.mean())}
        row["separation"] = separation(similarity, changed)
        row["below"] = {
            str(share): [int((similarity[kind] < floor).sum()) for kind in (changed, ~changed)]
            for share, floor in floors.items()
        }
        rows.append(row)
    return floors, rows


def played(bundle: AgentBundle, retriever: TokenRetriever, floors: Sequence[float], options: argparse.Namespace) -> Any:
    """Plays the perturbations with words as they are, then with those below each floor made neutral; returns their cells."""
    starts = distinct_starts(options.env)[: options.starts]
    environments = [single_environment(options.env) for _ in range(len(starts) * options.draws)]
    retrievers: list[Retriever] = [
        retriever,
        *(Floored(retriever, floor=floor, neutral=options.neutral) for floor in floors),
    ]
    agents = [load_bundle_agent(bundle, num_envs=len(environments), retriever=one) for one in retrievers]
    return [
        [
            cell(agent, environments, starts, name=name, view="memory", options=options)
            for name in tqdm(options.perturbation, unit="cell")
        ]
        for agent in agents
    ]


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--neutral", default="floor", help="the word for what is below the floor (%(default)s)")
    parser.add_argument("--perturbation", nargs="+", choices=tuple(PERTURBATIONS), default=list(PLAYED), metavar="NAME")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the random walk whose frames are compared")
    parser.add_argument("--draws", type=int, default=2, help="episodes from each start, of perturbations that draw")
    parser.add_argument("--starts", type=int, help="only the first of them")
    parser.set_defaults(most_steps=MOST_STEPS, seed=0)
    options = parse(parser, arguments, perturbation=["clean"], steps=30, starts=1, draws=1, most_steps=20)
    given = sys.argv[1:] if arguments is None else arguments
    torch.set_num_threads(1)
    bundle = load_bundle(options.bundle)
    retriever = load_retriever(bundle, device="cpu", cache_frames=CACHE_FRAMES)
    _, frames = distinct_frames(options.env, options.steps)
    floors, words = of_words(retriever, frames)
    content: dict[str, Any] = {"agent": bundle.name, "digest": bundle.digest, "env": options.env, "neutral": options.neutral}
    content |= {"command": shlex.join(["python", "-m", "training.clip.floor", *given]), "commit": commit()}
    content |= {"floors": {str(share): floor for share, floor in floors.items()}, "words": words}
    ways = ("none", *map(str, floors))
    content["played"] = dict(zip(ways, played(bundle, retriever, list(floors.values()), options), strict=True))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(content) + "\n")
    for share, cells in content["played"].items():
        print(f"floor that loses {share} of clean frames:", *(f"{one['perturbation']} {one['solved']:.2f}" for one in cells))


if __name__ == "__main__":
    main()

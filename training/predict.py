"""How well the remembered words, against the pixels, predict what an agent does:
`python -m training.predict --bundle models/NAME --env ID --out FILE`.

The agent plays greedily, once from each start. A linear classifier then predicts the action of each step of starts that it
was not fitted on, from: the remembered words (how often each of the window's words is there, and which are the last step's),
the frame (its principal components), both, or, as a baseline, the words with the actions of the fitted steps exchanged at
random. High accuracy from words alone says that a person who reads the memory can tell what the agent will do.

Contract: starts are split into folds, so that no two steps of one start are on both sides; components are those of the
fitted frames alone; the same arguments give the same file. An environment with few starts is played from all of them, others
from `--starts` seeds. Intervals count starts (shelm.gym.intervals). Failure policy: as training.evaluate.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from shelm.gym.intervals import clustered
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from training.agents import load_bundle_agent
from training.environments import single_environment
from training.evaluate import Episode, play
from training.memory import EditedMemory
from training.quick import parse
from training.starts import distinct_starts
from training.word_edits import write

FOLDS, STARTS, MOST_STEPS, COMPONENTS = 4, 64, 100, 64
FITTING, DECAY = 300, 1e-3  # iterations of the classifier, and its L2
INPUTS = ("words", "frame", "both", "words, actions exchanged")
Floats = NDArray[np.float32]


@dataclass
class Steps:
    """What was seen, remembered and done; one entry a step."""

    starts: list[int] = field(default_factory=list)
    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    words: list[list[tuple[int, ...]]] = field(default_factory=list)  # of all steps up to this one
    actions: list[int] = field(default_factory=list)


def watch(bundle: AgentBundle, env_id: str, starts: list[int], most_steps: int) -> Steps:
    """Plays greedily from every start at once."""
    agent, found = load_bundle_agent(bundle, num_envs=len(starts)), Steps()
    memory = agent.memory
    assert isinstance(memory, EditedMemory)
    episodes = [Episode(single_environment(env_id), seed=seed, row=row) for row, seed in enumerate(starts)]

    def note(episode: Episode, action: Any) -> None:
        found.starts.append(episode.seed)
        found.frames.append(episode.frame)
        found.words.append(list(memory.remembered(episode.row)))
        found.actions.append(int(action))

    play(agent, episodes, deterministic=True, most_steps=most_steps, on_action=note)
    return found


def word_features(steps: Steps, window: int) -> Floats:
    """Returns float32 (steps, 2 x words): counts of the words within the window, as shares, and those of the last step."""
    known = sorted({row for history in steps.words for words in history for row in words})
    place = {row: at for at, row in enumerate(known)}
    features = np.zeros((len(steps.words), 2 * len(known)), np.float32)
    for at, history in enumerate(steps.words):
        reach = [row for words in history for row in words][-window:]
        for row in reach:
            features[at, place[row]] += 1 / len(reach)
        for row in history[-1]:
            features[at, len(known) + place[row]] = 1
    return features


def components(fitted: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Returns both in the principal components of the first, scaled to its deviations."""
    mean = fitted.mean(0)
    _, values, directions = np.linalg.svd(fitted - mean, full_matrices=False)
    kept = directions[:COMPONENTS].T / np.maximum(values[:COMPONENTS], 1e-3) * len(fitted) ** 0.5
    return (fitted - mean) @ kept, (others - mean) @ kept


def predicted(features: Floats, actions: NDArray[np.int64], others: Floats, classes: int) -> NDArray[np.int64]:
    """Returns the most probable action of each of `others`, by a softmax regression on `features`."""
    torch.manual_seed(0)
    inputs, wanted = torch.from_numpy(features), torch.from_numpy(actions)
    weights: Tensor = torch.zeros(classes, features.shape[1], requires_grad=True)
    bias: Tensor = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.Adam([weights, bias], lr=0.1)
    for _ in range(FITTING):
        loss = cross_entropy(linear(inputs, weights, bias), wanted) + DECAY * (weights**2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        result: NDArray[np.int64] = linear(torch.from_numpy(others), weights, bias).argmax(1).numpy()
        return result


def accuracies(steps: Steps, window: int, classes: int) -> list[dict[str, Any]]:
    """Returns one row for each kind of input, and one for the most frequent action."""
    rng = np.random.default_rng(0)
    starts, actions = np.array(steps.starts), np.array(steps.actions)
    words = word_features(steps, window)
    pixels = np.stack(steps.frames).reshape(len(actions), -1).astype(np.float32) / 255
    fold_of = {start: at % FOLDS for at, start in enumerate(rng.permutation(np.unique(starts)).tolist())}
    folds = np.array([fold_of[start] for start in steps.starts])
    right = {name: np.zeros(len(actions)) for name in (*INPUTS, "most frequent action")}
    for fold in tqdm(range(FOLDS), unit="fold"):
        held = folds == fold
        seen, unseen = components(pixels[~held], pixels[held])
        inputs = {
            "words": (words[~held], words[held]),
            "frame": (seen, unseen),
            "both": (np.hstack([words[~held], seen]), np.hstack([words[held], unseen])),
        }
        for name in INPUTS:
            fitted, others = inputs[name.partition(",")[0]]
            known = rng.permutation(actions[~held]) if "exchanged" in name else actions[~held]
            right[name][held] = predicted(fitted, known, others, classes) == actions[held]
        right["most frequent action"][held] = np.bincount(actions[~held]).argmax() == actions[held]
    return [_row(name, values, starts) for name, values in right.items()]


def _row(name: str, right: NDArray[np.float64], starts: NDArray[np.int64]) -> dict[str, Any]:
    mean, _, interval = clustered(right.tolist(), starts.tolist())
    return {"input": name, "accuracy": round(mean, 4), "interval": interval and [round(bound, 4) for bound in interval]}


def starts_of(env_id: str, most: int) -> list[int]:
    """Returns the seeds of the distinct starts if there are at most so many, else 0, 1, ..."""
    try:
        found = distinct_starts(env_id)
    except ValueError:
        return list(range(most))
    return found if len(found) <= most else list(range(most))


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--starts", type=int, default=STARTS, help="where there are more")
    parser.add_argument("--most-steps", type=int, default=MOST_STEPS, help="of an episode")
    options = parse(parser, arguments, starts=8, most_steps=20)
    torch.set_num_threads(1)
    bundle = load_bundle(options.bundle)
    starts = starts_of(options.env, options.starts)
    steps = watch(bundle, options.env, starts, options.most_steps)
    classes = max(steps.actions) + 1
    rows = accuracies(steps, bundle.manifest.memory.window, classes)
    content = {"agent": bundle.name, "digest": bundle.digest, "env": options.env, "starts": len(starts)}
    write(options.out, "training.predict", arguments, content | {"steps": len(steps.actions), "rows": rows})
    for row in rows:
        print(f"{row['input']:26} {row['accuracy']:.3f} {row['interval']}")


if __name__ == "__main__":
    main()

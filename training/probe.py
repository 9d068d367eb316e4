"""Tests whether a memory vector contains what an agent must remember: `python -m training.probe --env ID --out FILE`.

Use it before hours of training: an environment's own expert (`expert_action() -> int`) plays episodes with a known `answer`
(0 .. `answers` - 1). A linear classifier and one with 128 hidden units learn the answer from the memory vectors of the
second half of each episode, and are tested on other episodes. A policy cannot use information that they cannot read from the
vector. `--set NAME=INT` sets an attribute of the environment, such as how often its expert looks.

The settings of the memory are those of the environment's preset, or given by `--layers`, `--k` and `--window`. FILE receives
the settings, the mean length of an episode and both accuracies. Failure policy: an environment without an expert or an
answer raises AttributeError.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from training.engines import load_memory
from training.environments import single_environment
from training.memory import Memory, Vectors
from training.presets import settings
from training.quick import parse
from training.run_log import commit

NUM_ENVS = 32
QUICK_EPISODES = 5
LEARNING = 0.8  # fraction of the episodes for training
HIDDEN, STEPS, BATCH = 128, 600, 256


def walk(env_id: str, memory: Memory, *, episodes: int, attributes: dict[str, int]) -> tuple[list[Vectors], list[int], int]:
    """Returns memory vectors (steps, dimension) and answer of each of the expert's episodes (seeds 0, 1, ...), and the
    number of answers.
    """
    environments = [single_environment(env_id) for _ in range(min(NUM_ENVS, episodes))]
    vectors, answers = [], []
    for first in tqdm(range(0, episodes, len(environments)), unit="batch", mininterval=5):
        batch = environments[: episodes - first]
        frames: dict[int, Any] = {}
        found: list[list[Vectors]] = [[] for _ in batch]
        for row, env in enumerate(batch):
            frames[row] = env.reset(seed=first + row)[0]
            for name, value in attributes.items():
                getattr(env.unwrapped, name)  # raises AttributeError for a misspelt attribute
                setattr(env.unwrapped, name, value)
            memory.begin(row)
            answers.append(int(env.unwrapped.answer))  # type: ignore[attr-defined]
        while frames:
            running = list(frames)
            for row, vector in zip(running, memory.remember(np.stack(list(frames.values())), running), strict=True):
                found[row].append(vector)
                world: Any = batch[row].unwrapped
                frame, _, terminated, truncated, _ = batch[row].step(world.expert_action())
                frames[row] = frame
                if terminated or truncated:
                    del frames[row]
        vectors += [np.stack(of) for of in found]
    return vectors, answers, int(environments[0].unwrapped.answers)  # type: ignore[attr-defined]


def read(vectors: list[Vectors], answers: list[int], count: int, *, hidden: int) -> float:
    """Returns the accuracy on the test episodes. hidden: number of hidden units; 0 for a linear classifier."""
    torch.manual_seed(0)
    learned = int(LEARNING * len(vectors))
    halves = [torch.from_numpy(of[len(of) // 2 :]) for of in vectors]
    inputs, others = torch.cat(halves[:learned]), torch.cat(halves[learned:])
    mean, deviation = inputs.mean(0), inputs.std(0) + 1e-6
    wanted = torch.cat([torch.full((len(of),), answer) for answer, of in zip(answers, halves, strict=True)])
    before: list[nn.Module] = [nn.Linear(inputs.shape[1], hidden), nn.ReLU()] if hidden else []
    model = nn.Sequential(*before, nn.Linear(hidden or inputs.shape[1], count))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    for _ in range(STEPS):
        drawn = torch.randint(len(inputs), (BATCH,))
        loss = nn.functional.cross_entropy(model((inputs[drawn] - mean) / deviation), wanted[drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        said = model((others - mean) / deviation).argmax(1)
    return float((said == wanted[len(inputs) :]).float().mean())


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=480)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=INT")
    for name in ("layers", "k", "window"):
        parser.add_argument(f"--{name}", type=int, default=argparse.SUPPRESS)
    options = vars(parse(parser, arguments, episodes=QUICK_EPISODES))
    torch.set_num_threads(1)
    run = {**settings(options["env"]), **options, "method": "shelm"}
    attributes = {name: int(value) for name, _, value in (item.partition("=") for item in options["set"])}
    memory = load_memory(run, num_envs=NUM_ENVS, pixels=0)
    vectors, answers, count = walk(options["env"], memory, episodes=options["episodes"], attributes=attributes)
    kept = ("env", "episodes", "clip", "language_model", "layers", "k", "window")
    result = {
        **{name: run[name] for name in kept},
        **attributes,
        "commit": commit(),
        "chance": 1 / count,
        "mean_length": round(float(np.mean([len(of) for of in vectors])), 1),
        "linear": read(vectors, answers, count, hidden=0),
        "hidden": read(vectors, answers, count, hidden=HIDDEN),
    }
    options["out"].parent.mkdir(parents=True, exist_ok=True)
    options["out"].write_text(json.dumps(result, indent=2) + "\n")
    print(result)


if __name__ == "__main__":
    main()

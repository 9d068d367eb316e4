"""Shows the words retrieved for an environment's frames: `python -m docs.examples.words --env MODULE:ID`.

Plays random actions, and prints the first step of each distinct frame, how often it was seen, and its words. Use it before
training: frames that the agent must distinguish need different words. Failure policy: a missing environment or file raises
the same errors as in training.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent.retrieval.clip import FORMS, load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.environments import single_environment
from training.presets import settings


def random_walk(env_id: str, *, steps: int) -> list[NDArray[np.uint8]]:
    """Returns the frames of a random walk, uint8 (height, width, 3)."""
    env, frames, seed = single_environment(env_id), list[NDArray[np.uint8]](), 0
    env.action_space.seed(0)
    while len(frames) < steps:
        frame, done = env.reset(seed=seed)[0], False
        while not done:
            frames.append(frame)
            frame, _, terminated, truncated, _ = env.step(env.action_space.sample())
            done = terminated or truncated
        frames.append(frame)
        seed += 1
    return frames


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--clip", help=FORMS)
    parser.add_argument("--vocabulary")
    parser.add_argument("--k", type=int, default=3, help="words per frame (%(default)s)")
    parser.add_argument("--steps", type=int, default=300, help="number of steps (%(default)s)")
    options = parser.parse_args()
    preset = settings(options.env)
    model = load_clip(options.clip or preset["clip"]).model
    vocabulary = Vocabulary.load(Path(options.vocabulary or preset["vocabulary"]))
    retriever = TokenRetriever(model=model, vocabulary=vocabulary, k=options.k, device="cpu")
    frames = random_walk(options.env, steps=options.steps)
    seen = Counter(frame.tobytes() for frame in frames)
    distinct = {frame.tobytes(): (step, frame) for step, frame in reversed(list(enumerate(frames)))}
    for mark, (step, frame) in sorted(distinct.items(), key=lambda item: item[1][0]):
        words = "  ".join(f"{word.text} ({word.similarity:.2f})" for word in retriever.retrieve([frame])[0])
        print(f"frame {step:4d}, seen {seen[mark]:4d} times: {words}")


if __name__ == "__main__":
    main()

"""Measures the return of random actions on the tasks of the study: `python -m training.chance [--only PATTERN]`.

Plays the study's evaluation episodes with uniformly random actions, which depend on the episode's seed and the step, and
adds ENV.json to docs/results/raw/chance.tar.xz; a task that already has a file is skipped. `make results` reports the means.
Failure policy: an unknown environment ends the command with its id.
"""

import argparse
import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from shelm.gym.evaluation import content

from training.agents import Frames, Place
from training.archive import RAW, add, read
from training.environments import single_environment
from training.evaluate import play_seeds
from training.quick import parse
from training.study import EPISODES, FIRST_SEED, runs

NAME = "chance.tar.xz"


class RandomAgent:
    """Samples its actions uniformly."""

    def __init__(self, env_id: str) -> None:
        self._space: Any = single_environment(env_id).action_space

    def begin(self, row: int) -> None:
        """Does nothing, because there is no memory."""

    def act(self, frames: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """Returns one action per row, which depends on its episode's seed and step; ignores the frames."""
        return [self._draw(seed, step) for _, seed, step in places]

    def _draw(self, seed: int, step: int) -> Any:
        self._space.seed(int(np.random.SeedSequence((seed, step)).generate_state(1)[0]))
        return self._space.sample()


def file_of(env_id: str) -> str:
    """Returns the name of an environment's result in the archive."""
    return f"{env_id.replace('/', '-')}.json"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="environment ids, with * and ?")
    parser.add_argument("--raw", type=Path, default=RAW, help="folder of the archive")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    options = parse(parser, None, episodes=2, raw=Path("runs/quick"))
    known = read(options.raw / NAME)
    for env_id in dict.fromkeys(run.env for run in runs()):
        if fnmatch(env_id, options.only) and file_of(env_id) not in known:
            seeds = range(FIRST_SEED, FIRST_SEED + options.episodes)
            played = play_seeds(RandomAgent(env_id), env_id, seeds, deterministic=False)
            result = content(env_id, [({"agent": "random", "method": "random"}, played)], deterministic=False)
            add(options.raw / NAME, {file_of(env_id): json.dumps(result) + "\n"})
            print(env_id, result["agents"][0]["mean_return"])


if __name__ == "__main__":
    main()

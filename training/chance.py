"""What random actions earn on the tasks of the study: `python -m training.chance [--only PATTERN]`.

Plays the study's evaluation episodes with every action as likely as the others, drawn from the episode's seed and the step,
and writes docs/results/chance/ENV.json; a task whose file is there is skipped. `make results` names the means.
Failure policy: an unknown environment ends the command with its id.
"""

import argparse
import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from training.agents import Frames, Place
from training.environments import single_environment
from training.evaluate import outcome
from training.study import EPISODES, FIRST_SEED, RESULTS, runs

FOLDER = RESULTS.parent / "chance"


class RandomAgent:
    """Draws its actions evenly."""

    def __init__(self, env_id: str) -> None:
        self._space: Any = single_environment(env_id).action_space

    def begin(self, row: int) -> None:
        """Nothing to forget."""

    def act(self, frames: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """See `training.agents.Agent`."""
        return [self._draw(seed, step) for _, seed, step in places]

    def _draw(self, seed: int, step: int) -> Any:
        self._space.seed(int(np.random.SeedSequence((seed, step)).generate_state(1)[0]))
        return self._space.sample()


def file_of(env_id: str, folder: Path = FOLDER) -> Path:
    """Where an environment's result is."""
    return folder / f"{env_id.replace('/', '-')}.json"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="environment ids, with * and ?")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for env_id in dict.fromkeys(run.env for run in runs()):
        if fnmatch(env_id, options.only) and not file_of(env_id).exists():
            seeds = range(FIRST_SEED, FIRST_SEED + EPISODES)
            result = outcome(RandomAgent(env_id), env_id, seeds, deterministic=False)
            file_of(env_id).write_text(json.dumps({"method": "random", "env": env_id} | result) + "\n")
            print(env_id, result["mean_return"])


if __name__ == "__main__":
    main()

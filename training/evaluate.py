"""Evaluates a run on an environment's own frames: `python -m training.evaluate --run runs/NAME --env ID --out FILE`.

Episode i is reset with seed `--first-seed + i`, so every agent plays the same episodes. Actions are sampled, or, with
`--deterministic`, the most probable ones are chosen. `--forget` empties the memory before every step, which gives the same
agent without its past. The frames come from the environment itself, not from a fast training version of it. Writes every
episode's return and length. Failure policy: a run without saved weights, or an unknown environment, ends the command with
the file or id.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from training.agents import Agent, load_agent
from training.environments import single_environment

NUM_ENVS = 16  # episodes in parallel


class Episode:
    """One episode with its own environment; `row` is its index in the agent's memory."""

    def __init__(self, env: Any, *, seed: int, row: int) -> None:
        self.env, self.seed, self.row = env, seed, row
        self.frame: NDArray[np.uint8] = env.reset(seed=seed)[0]
        self.steps, self.total, self.done = 0, 0.0, False

    def step(self, action: Any) -> None:
        """Executes an action."""
        self.frame, reward, terminated, truncated, _ = self.env.step(action)
        self.steps, self.total = self.steps + 1, self.total + float(reward)
        self.done = bool(terminated or truncated)


@torch.inference_mode()
def play(agent: Agent, episodes: list[Episode], *, deterministic: bool, forget: bool = False) -> None:
    """Plays episodes in parallel until all have ended."""
    for episode in episodes:
        agent.begin(episode.row)
    while running := [episode for episode in episodes if not episode.done]:
        if forget:
            for episode in running:
                agent.begin(episode.row)
        frames = np.stack([episode.frame for episode in running])
        places = [(episode.row, episode.seed, episode.steps) for episode in running]
        for episode, action in zip(running, agent.act(frames, places, deterministic=deterministic), strict=True):
            episode.step(action)


def evaluate(
    run: Path, env_id: str, *, episodes: int, first_seed: int, deterministic: bool, forget: bool, device: str = "cpu"
) -> dict[str, Any]:
    """Plays the episodes of seeds `first_seed` .. `first_seed + episodes - 1`; returns the content of the output file."""
    settings = json.loads((run / "run.json").read_text())
    agent = load_agent(settings, run, num_envs=NUM_ENVS, device=device)
    kind = {"method": settings["method"], "env": env_id, "deterministic": deterministic, "forget": forget}
    seeds = range(first_seed, first_seed + episodes)
    return kind | outcome(agent, env_id, seeds, deterministic=deterministic, forget=forget)


def outcome(agent: Agent, env_id: str, seeds: range, *, deterministic: bool, forget: bool = False) -> dict[str, Any]:
    """Plays one episode per seed; returns their returns and lengths, as written to the output file."""
    environments = [single_environment(env_id) for _ in range(min(NUM_ENVS, len(seeds)))]
    done: list[Episode] = []
    for first in tqdm(range(0, len(seeds), NUM_ENVS), unit="batch", mininterval=5):
        some = seeds[first : first + NUM_ENVS]
        batch = [Episode(environments[row], seed=seed, row=row) for row, seed in enumerate(some)]
        play(agent, batch, deterministic=deterministic, forget=forget)
        done += batch
    returns = [episode.total for episode in done]
    return {
        "first_seed": seeds.start,
        "mean_return": float(np.mean(returns)),
        "standard_error": float(np.std(returns) / np.sqrt(len(returns))),
        "successes": sum(value > 0 for value in returns),
        "returns": [round(value, 6) for value in returns],
        "lengths": [episode.steps for episode in done],
    }


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1_000_000)
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--forget", action="store_true")
    parser.add_argument("--device", default="cpu", help="torch device of the models")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    result = evaluate(
        options.run,
        options.env,
        episodes=options.episodes,
        first_seed=options.first_seed,
        deterministic=options.deterministic,
        forget=options.forget,
        device=options.device,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result) + "\n")
    print({key: value for key, value in result.items() if key not in ("returns", "lengths")})


if __name__ == "__main__":
    main()

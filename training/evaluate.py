"""Evaluates a training run on an environment's own frames.

`python -m training.evaluate --run runs/NAME --env ID --out FILE`

Episode i is reset with seed `--first-seed + i`, so every agent meets the same episodes; actions are drawn (or, with
`--deterministic`, the most probable). `--forget` empties the memory before every step: the same agent without its past.
The frames come from MiniGrid itself, not from the fast training environment. Writes every episode's return and length.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tqdm import tqdm

from services.domain.bundle import PolicyPart
from services.domain.history import MemoryStep, MemoryVector, empty_history
from services.policy.model import ActorCritic, choose_action
from training.engines import AGENT, Engines, load_engines
from training.environments import single_environment

ROWS = 16  # episodes side by side


def load_policy(run: dict[str, Any], folder: Path) -> ActorCritic:
    """The actor-critic of a run; its tensors say how many actions and memory features it has."""
    weights = load_file(folder / "policy.safetensors")
    memory, actions = len(weights["memory_mean"]), len(weights["actor.3.bias"])
    model = ActorCritic(PolicyPart(**run["policy"]), height=56, width=56, memory=memory, actions=actions)
    model.load_state_dict(weights)
    return model.eval()


class Episode:
    """One episode with its own environment."""

    def __init__(self, env_id: str, seed: int) -> None:
        self.env = single_environment(env_id)
        self.frame: NDArray[np.uint8] = self.env.reset(seed=seed)[0]
        self.seed, self.steps, self.total, self.done = seed, 0, 0.0, False
        self.remembered, self.history = 0, empty_history(AGENT)

    def step(self, action: int) -> None:
        """Takes an action."""
        self.frame, reward, terminated, truncated, _ = self.env.step(action)
        self.steps, self.total = self.steps + 1, self.total + float(reward)
        self.done = terminated or truncated


def remember(engines: Engines | None, episodes: list[Episode], *, forget: bool) -> torch.Tensor:
    """Memory vectors float32 (episodes, dimension)."""
    if engines is None:
        return torch.zeros(len(episodes), 1)
    words = engines.words(np.stack([episode.frame for episode in episodes]))
    for episode in episodes:
        if forget:
            engines.slots.forget(str(episode.seed))
            episode.remembered, episode.history = 0, empty_history(AGENT)
    steps = [MemoryStep(str(e.seed), e.remembered, w, e.history) for e, w in zip(episodes, words, strict=True)]
    vectors = []
    for episode, answer in zip(episodes, engines.slots.remember(steps), strict=True):
        assert isinstance(answer, MemoryVector)
        episode.remembered, episode.history = episode.remembered + 1, answer.history
        vectors.append(answer.vector)
    return torch.from_numpy(np.stack(vectors))


@torch.inference_mode()
def play(
    policy: ActorCritic, engines: Engines | None, episodes: list[Episode], *, deterministic: bool, forget: bool
) -> None:
    """Plays episodes side by side to their ends."""
    while running := [episode for episode in episodes if not episode.done]:
        memory = remember(engines, running, forget=forget)
        frames = torch.from_numpy(np.stack([episode.frame for episode in running])).permute(0, 3, 1, 2)
        logits, _ = policy.decide(policy.encode(frames), memory)
        for episode, row in zip(running, logits.numpy(), strict=True):
            action, _ = choose_action(row, seed=episode.seed, step=episode.steps, deterministic=deterministic)
            episode.step(action)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1_000_000)
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--forget", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run = json.loads((options.run / "run.json").read_text())
    engines = load_engines(run, rows=ROWS) if run["method"] == "shelm" else None
    policy = load_policy(run, options.run)
    done: list[Episode] = []
    for first in tqdm(range(0, options.episodes, ROWS), unit="batch"):
        last = min(first + ROWS, options.episodes)
        batch = [Episode(options.env, options.first_seed + i) for i in range(first, last)]
        play(policy, engines, batch, deterministic=options.deterministic, forget=options.forget)
        done += batch
    returns = [episode.total for episode in done]
    result = {
        "method": run["method"],
        "env": options.env,
        "deterministic": options.deterministic,
        "forget": options.forget,
        "first_seed": options.first_seed,
        "mean_return": float(np.mean(returns)),
        "standard_error": float(np.std(returns) / np.sqrt(len(returns))),
        "successes": sum(value > 0 for value in returns),
        "returns": [round(value, 6) for value in returns],
        "lengths": [episode.steps for episode in done],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result) + "\n")
    print({key: value for key, value in result.items() if key not in ("returns", "lengths")})


if __name__ == "__main__":
    main()
